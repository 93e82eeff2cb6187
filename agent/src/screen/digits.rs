//! Digits that can be read from the other end of a classroom.

/// Rows of a digit.
pub(super) const HEIGHT: usize = 7;

/// One row of the digits of `code`, each eight columns wide with the space behind it. What is no digit is left out.
pub(super) fn row(code: &str, row: usize) -> String {
    let digits = code.chars().filter_map(|c| c.to_digit(10)).filter_map(|d| SHAPES.get(d as usize));
    let mut line = String::new();
    for shape in digits {
        for pixel in shape.get(row).copied().unwrap_or_default().chars() {
            line.push_str(if pixel == '#' { "██" } else { "  " });
        }
        line.push_str("  ");
    }
    line.trim_end().to_owned()
}

const SHAPES: [[&str; HEIGHT]; 10] = [
    ["###", "# #", "# #", "# #", "# #", "# #", "###"],
    [" # ", "## ", " # ", " # ", " # ", " # ", "###"],
    ["###", "  #", "  #", "###", "#  ", "#  ", "###"],
    ["###", "  #", "  #", "###", "  #", "  #", "###"],
    ["# #", "# #", "# #", "###", "  #", "  #", "  #"],
    ["###", "#  ", "#  ", "###", "  #", "  #", "###"],
    ["###", "#  ", "#  ", "###", "# #", "# #", "###"],
    ["###", "  #", "  #", "  #", "  #", "  #", "  #"],
    ["###", "# #", "# #", "###", "# #", "# #", "###"],
    ["###", "# #", "# #", "###", "  #", "  #", "###"],
];
