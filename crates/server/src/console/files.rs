//! The files of the console, as they stand in `console/page`: they are part of the binary, and nothing has to be built or
//! installed beside it.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::OnceCell;

use crate::gzip::deflated;

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Its path below `/console/`.
    pub(super) name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
    packed: &'static OnceCell<Bytes>,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $content_type:ident,)*) => {
        /// All files.
        pub(super) static ALL: &[File] = &[$(
            File {
                name: $name,
                content_type: $content_type,
                bytes: include_bytes!(concat!("page/", $name)),
                packed: {
                    static PACKED: OnceCell<Bytes> = OnceCell::const_new();
                    &PACKED
                },
            },
        )*];
    };
}

files! {
    "index.html" HTML,
    "style.css" STYLE,
    "icon.svg" IMAGE,
    "main.js" SCRIPT,
    "api.js" SCRIPT,
    "bytes.js" SCRIPT,
    "chart.js" SCRIPT,
    "cluster.js" SCRIPT,
    "diff.js" SCRIPT,
    "dom.js" SCRIPT,
    "edit.js" SCRIPT,
    "history.js" SCRIPT,
    "keys.js" SCRIPT,
    "leases.js" SCRIPT,
    "load.js" SCRIPT,
    "metrics.js" SCRIPT,
    "pair.js" SCRIPT,
    "session.js" SCRIPT,
    "tree.js" SCRIPT,
    "users.js" SCRIPT,
    "value.js" SCRIPT,
    "watch.js" SCRIPT,
}

/// Returns the file of a name; the first page has the empty one.
pub(super) fn named(name: &str) -> Option<&'static File> {
    let name = if name.is_empty() { "index.html" } else { name };
    ALL.iter().find(|file| file.name == name)
}

impl File {
    /// Returns the tag by which a browser asks whether the file is still the same, in the form in which it has it.
    pub(super) fn tag(&self, packed: bool) -> HeaderValue {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.bytes);
        let form = if packed { "-gzip" } else { "" };
        HeaderValue::try_from(format!("\"{:016x}{form}\"", hasher.finish())).expect("digits in quotes")
    }

    /// Returns the file in gzip. It is packed once.
    pub(super) async fn packed(&self) -> Bytes {
        let pack = || async { Bytes::from(deflated(Bytes::from_static(self.bytes)).await) };
        self.packed.get_or_init(pack).await.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The most that all files may have together.
    const BYTES_MAX: usize = 150 << 10;

    fn text(file: &File) -> &'static str {
        std::str::from_utf8(file.bytes).unwrap()
    }

    /// Returns what stands in quotes after each occurrence of `before`.
    fn quoted<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next()).collect()
    }

    #[test]
    fn every_file_that_a_page_or_a_script_names_exists_and_is_named() {
        let mut reachable = BTreeSet::from(["index.html"]);
        for file in ALL {
            let named_here = [("href=\"", true), ("src=\"", true), ("from \"./", false)];
            for (before, is_of_page) in named_here {
                if is_of_page != file.name.ends_with(".html") {
                    continue;
                }
                for name in quoted(text(file), before).into_iter().filter(|name| !name.starts_with('#')) {
                    assert!(named(name).is_some(), "{} names {name}", file.name);
                    reachable.insert(name);
                }
            }
        }
        for file in ALL {
            assert!(reachable.contains(file.name), "nothing names {}", file.name);
        }
    }

    #[test]
    fn every_file_of_the_directory_is_served() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/page");
        let found = std::fs::read_dir(directory).unwrap();
        let found: BTreeSet<_> =
            found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let served: BTreeSet<_> = ALL.iter().map(|file| file.name.to_owned()).collect();
        assert_eq!(found, served);
    }

    #[test]
    fn all_files_together_are_small() {
        let bytes: usize = ALL.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes <= BYTES_MAX, "{bytes}");
    }

    /// The policy would keep a browser from running or following them: such a page would not work.
    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let page = text(named("").unwrap());
        for forbidden in ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"]
        {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        for script in page.split("<script").skip(1) {
            assert!(script.contains("></script>") && script.contains("src="), "{script}");
        }
    }

    /// Keys, values and names are put into a page as text, never as HTML.
    #[test]
    fn no_script_makes_html_of_text() {
        for file in ALL.iter().filter(|file| file.name.ends_with(".js")) {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
                "DOMParser",
            ] {
                assert!(!text(file).contains(forbidden), "{} has {forbidden}", file.name);
            }
        }
    }
}
