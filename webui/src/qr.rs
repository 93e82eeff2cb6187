//! QR codes as SVG paths.

use qrcode::{Color, EcLevel, QrCode};

/// A QR code as the lines of an SVG path.
pub(crate) struct Qr {
    pub(crate) path: String,
    /// Modules from side to side, the quiet zone included.
    pub(crate) size: usize,
}

/// Draws a QR code: a stroke for each run of dark modules. `None` if the text is too long for one.
pub(crate) fn qr(text: &str) -> Option<Qr> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (y, row) in colors.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&Color::Dark) {
                path.push_str(&format!("M{} {}h{}v1h-{}z", x + QUIET, y + QUIET, run.len(), run.len()));
            }
            x += run.len();
        }
    }
    Some(Qr { path, size: width + 2 * QUIET })
}

/// ISO/IEC 18004 asks for four light modules on each side.
const QUIET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_has_its_three_corners() {
        let qr = qr("otpauth://totp/Hausmeister:admin?secret=GEZDGNBVGY3TQOJQ").unwrap();
        let last = qr.size - QUIET - 7;
        for corner in
            [format!("M{QUIET} {QUIET}h7"), format!("M{last} {QUIET}h7"), format!("M{QUIET} {last}h7")]
        {
            assert!(qr.path.contains(&corner), "{corner}: {}", qr.path);
        }
        assert!(super::qr(&"x".repeat(5000)).is_none());
    }
}
