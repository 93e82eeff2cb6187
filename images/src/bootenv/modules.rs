//! Which module files a list of names needs, by the index files that depmod(8) writes.
//!
//! | File               | What it tells                                                         |
//! |--------------------|-----------------------------------------------------------------------|
//! | `modules.dep`      | the file of a module, and the files it cannot be loaded without       |
//! | `modules.softdep`  | modules that should be there before or after, by name or alias        |
//! | `modules.alias`    | patterns of devices and requests, and the module that serves them     |
//! | `modules.builtin`  | modules that are part of the kernel itself                            |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Error;

/// The index files of one kernel.
#[derive(Debug, Default)]
pub(super) struct Index {
    dep: String,
    softdep: String,
    alias: String,
    /// Module to its file.
    files: BTreeMap<String, String>,
    /// File to the files it needs.
    needs: BTreeMap<String, Vec<String>>,
    /// Module to names or aliases that belong to it.
    companions: BTreeMap<String, Vec<String>>,
    /// Aliases without wildcards, which is what soft dependencies use.
    plain_aliases: BTreeMap<String, Vec<String>>,
    builtin: BTreeSet<String>,
}

/// What goes into the archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Paths relative to the module folder.
    pub(super) files: BTreeSet<String>,
    /// Names that the kernel neither has as a module nor built in.
    pub(super) missing: Vec<String>,
}

impl Index {
    /// Reads a kernel's module folder. `modules.dep` must be there.
    pub(super) fn read(folder: &Path) -> Result<Index, Error> {
        let path = folder.join("modules.dep");
        let dep = fs::read_to_string(&path).map_err(|source| Error::Read { path, source })?;
        let optional = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        Ok(Index::parse(
            dep,
            optional("modules.softdep"),
            optional("modules.alias"),
            &optional("modules.builtin"),
        ))
    }

    /// The same from the content of the files.
    pub(super) fn parse(dep: String, softdep: String, alias: String, builtin: &str) -> Index {
        let mut index = Index { builtin: builtin.lines().map(name_of).collect(), ..Index::default() };
        for (file, needs) in dep.lines().filter_map(|line| line.split_once(':')) {
            index.files.insert(name_of(file), file.to_owned());
            index.needs.insert(file.to_owned(), needs.split_ascii_whitespace().map(str::to_owned).collect());
        }
        for (module, others) in softdep.lines().filter_map(softdep_line) {
            index.companions.entry(module).or_default().extend(others);
        }
        for (pattern, module) in alias.lines().filter_map(alias_line) {
            if !pattern.contains(['*', '?', '[']) {
                index.plain_aliases.entry(underscored(pattern)).or_default().push(underscored(module));
            }
        }
        Index { dep, softdep, alias, ..index }
    }

    /// All files that these modules need, directly or not.
    pub(super) fn select(&self, wanted: &[&str]) -> Selection {
        let mut selection = Selection::default();
        let mut open: Vec<&str> = Vec::new();
        for name in wanted {
            match self.files.get(&underscored(name)) {
                Some(file) => open.push(file),
                None if self.builtin.contains(&underscored(name)) => {}
                None => selection.missing.push((*name).to_owned()),
            }
        }
        while let Some(file) = open.pop() {
            if !selection.files.insert(file.to_owned()) {
                continue;
            }
            open.extend(self.needs.get(file).into_iter().flatten().map(String::as_str));
            for companion in self.companions.get(&name_of(file)).into_iter().flatten() {
                open.extend(self.files_called(companion));
            }
        }
        selection
    }

    /// The index files cut down to a selection, with their names.
    pub(super) fn of(&self, selection: &Selection) -> [(&'static str, String); 3] {
        let modules: BTreeSet<String> = selection.files.iter().map(|file| name_of(file)).collect();
        let keep = |text: &str, wanted: &dyn Fn(&str) -> bool| -> String {
            text.lines().filter(|line| wanted(line)).flat_map(|line| [line, "\n"]).collect()
        };
        let dep = keep(&self.dep, &|line| {
            line.split_once(':').is_some_and(|(file, _)| selection.files.contains(file))
        });
        let softdep = keep(&self.softdep, &|line| {
            softdep_line(line).is_some_and(|(module, _)| modules.contains(&module))
        });
        let alias = keep(&self.alias, &|line| {
            alias_line(line).is_some_and(|(_, m)| modules.contains(&underscored(m)))
        });
        [("modules.dep", dep), ("modules.softdep", softdep), ("modules.alias", alias)]
    }

    fn files_called(&self, name: &str) -> impl Iterator<Item = &str> {
        let direct = self.files.get(name);
        let by_alias =
            self.plain_aliases.get(name).into_iter().flatten().filter_map(|module| self.files.get(module));
        direct.into_iter().chain(by_alias).map(String::as_str)
    }
}

/// `softdep MODULE pre: A B post: C`, both kinds of companions alike.
fn softdep_line(line: &str) -> Option<(String, Vec<String>)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "softdep" {
        return None;
    }
    let module = underscored(words.next()?);
    Some((module, words.filter(|word| !word.ends_with(':')).map(underscored).collect()))
}

/// `alias PATTERN MODULE`.
fn alias_line(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_ascii_whitespace();
    match (words.next()?, words.next()?, words.next()?) {
        ("alias", pattern, module) => Some((pattern, module)),
        _ => None,
    }
}

/// `kernel/drivers/net/virtio-net.ko.xz` is the module `virtio_net`.
fn name_of(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    underscored(base.split(".ko").next().unwrap_or(base))
}

/// The kernel treats both spellings alike.
fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/net/virtio_net.ko: kernel/net/failover.ko kernel/virtio/virtio.ko\n\
                       kernel/net/failover.ko:\n\
                       kernel/virtio/virtio.ko:\n\
                       kernel/net/r8169.ko: kernel/phy/libphy.ko\n\
                       kernel/phy/realtek.ko: kernel/phy/libphy.ko\n\
                       kernel/phy/libphy.ko:\n\
                       kernel/fs/ext4.ko: kernel/fs/jbd2.ko\n\
                       kernel/fs/jbd2.ko:\n\
                       kernel/crypto/crc32c-generic.ko.xz:\n\
                       kernel/a.ko: kernel/b.ko\n\
                       kernel/b.ko: kernel/a.ko\n";
    const SOFTDEP: &str =
        "# comment\nsoftdep r8169 pre: realtek\nsoftdep ext4 pre: crc32c post: nothing-here\n";
    const ALIAS: &str = "# comment\n\
                         alias virtio:d00000001v* virtio_net\n\
                         alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\n\
                         alias crc32c crc32c-generic\n\
                         alias fs-ext4 ext4\n";
    const BUILTIN: &str = "kernel/drivers/usb/core/usbcore.ko\n";

    fn index() -> Index {
        Index::parse(DEP.to_owned(), SOFTDEP.to_owned(), ALIAS.to_owned(), BUILTIN)
    }

    fn check(wanted: &[&str], files: &[&str], missing: &[&str]) {
        let selection = index().select(wanted);
        assert_eq!(selection.files.iter().map(String::as_str).collect::<Vec<_>>(), files, "{wanted:?}");
        assert_eq!(selection.missing, missing, "{wanted:?}");
    }

    #[test]
    fn a_module_brings_what_it_needs_and_what_should_be_beside_it() {
        check(&[], &[], &[]);
        check(
            &["virtio-net"],
            &["kernel/net/failover.ko", "kernel/net/virtio_net.ko", "kernel/virtio/virtio.ko"],
            &[],
        );
        check(&["r8169"], &["kernel/net/r8169.ko", "kernel/phy/libphy.ko", "kernel/phy/realtek.ko"], &[]);
        check(
            &["ext4"],
            &["kernel/crypto/crc32c-generic.ko.xz", "kernel/fs/ext4.ko", "kernel/fs/jbd2.ko"],
            &[],
        );
        check(&["usbcore", "no-such"], &[], &["no-such"]);
        check(&["a"], &["kernel/a.ko", "kernel/b.ko"], &[]);
    }

    #[test]
    fn the_index_files_are_cut_down_to_the_selection() {
        let index = index();
        let [(_, dep), (_, softdep), (_, alias)] = index.of(&index.select(&["r8169"]));
        assert_eq!(
            dep,
            "kernel/net/r8169.ko: kernel/phy/libphy.ko\nkernel/phy/realtek.ko: kernel/phy/libphy.ko\nkernel/phy/libphy.ko:\n"
        );
        assert_eq!(softdep, "softdep r8169 pre: realtek\n");
        assert_eq!(alias, "alias pci:v000010ECd00008168sv*sd*bc*sc*i* r8169\n");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken_without_a_panic(a in "(?s).*", b in "(?s).*", name in ".*") {
            let index = Index::parse(a.clone(), b.clone(), b, &a);
            index.of(&index.select(&[&name]));
        }

        #[test]
        fn a_selection_is_closed_under_hard_dependencies(wanted in proptest::sample::subsequence(
            vec!["virtio_net", "r8169", "realtek", "ext4", "a", "jbd2"], 0..6)) {
            let index = index();
            let selection = index.select(&wanted);
            for file in &selection.files {
                for need in &index.needs[file] {
                    proptest::prop_assert!(selection.files.contains(need));
                }
            }
        }
    }
}
