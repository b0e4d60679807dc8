//! One run of a command: the words of its line.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use bytes::Bytes;
use clap::ArgMatches;

use super::connect::Session;
use super::exit::Failure;
use super::flags::Flags as _;
use super::global::Globals;
use super::print::Printer;

/// A command with its flags and arguments.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The name under which this program was started, without directories: `quoratectl`, or `etcdctl` where it is
    /// linked so.
    pub program: String,
    /// The command and its subcommands, in full: `["lease", "grant"]`.
    pub path: Vec<String>,
    /// The flags and arguments of the innermost subcommand.
    pub matches: ArgMatches,
    /// Every word of the line, the program's first.
    pub words: Vec<OsString>,
    /// The global flags, once they are asked for: the environment is warned about once.
    globals: OnceCell<Result<Globals, Failure>>,
}

impl Invocation {
    /// Returns a run of the command at `path`.
    pub fn new(program: String, path: Vec<String>, matches: ArgMatches, words: Vec<OsString>) -> Invocation {
        Invocation { program, path, matches, words, globals: OnceCell::new() }
    }

    /// Returns the name of the innermost subcommand.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Returns whether this is etcdctl: no colours then, and etcd's version.
    pub fn is_etcdctl(&self) -> bool {
        self.program.contains("etcdctl")
    }

    /// Returns the global flags.
    ///
    /// # Errors
    /// When a flag and its environment variable are both given.
    pub fn globals(&self) -> Result<Globals, Failure> {
        self.globals.get_or_init(|| Globals::resolve(&self.matches)).clone()
    }

    /// Makes a client of the global flags, and a printer.
    ///
    /// # Errors
    /// When the flags make no sense, a file of TLS cannot be read, or the user is refused.
    pub async fn open(&self) -> Result<Session, Failure> {
        let globals = self.globals()?;
        let mut printer = Printer::new(globals.text("write-out"), globals.hex())?;
        printer.colours = !self.is_etcdctl();
        Session::open(globals, printer).await
    }

    /// Returns the positional arguments as keys and values, which need not be UTF-8. With `--hex`, an argument like
    /// `\x66\x6f\x6f` stands for those bytes: it is what `--hex` prints.
    ///
    /// # Errors
    /// When a flag and its environment variable are both given.
    pub fn byte_arguments(&self) -> Result<Vec<Bytes>, Failure> {
        Ok(byte_arguments(&self.matches, self.globals()?.hex()))
    }

    /// Returns the positional arguments as texts. What is not UTF-8 in them is replaced.
    pub fn text_arguments(&self) -> Vec<String> {
        let arguments = self.matches.positionals().into_iter();
        arguments.map(|argument| argument.to_string_lossy().into_owned()).collect()
    }
}

/// Returns positional arguments as keys and values: see [`Invocation::byte_arguments`].
pub fn byte_arguments(matches: &ArgMatches, hex: bool) -> Vec<Bytes> {
    let arguments = matches.positionals().into_iter().map(OsString::into_vec);
    let read = |argument: Vec<u8>| if hex { unescape(&argument).unwrap_or(argument) } else { argument };
    arguments.map(|argument| Bytes::from(read(argument))).collect()
}

/// Returns the bytes of a text that consists of `\x` escapes and of nothing else.
pub fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let escapes = text.chunks_exact(4);
    if text.is_empty() || !escapes.remainder().is_empty() {
        return None;
    }
    let byte = |escape: &[u8]| {
        let digits = std::str::from_utf8(escape).ok()?.strip_prefix("\\x")?;
        // Not `+1`, which is a number too.
        let all = digits.chars().all(|digit| digit.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|_| all)
    };
    escapes.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_hex_prints_is_read_as_hex() {
        assert_eq!(unescape(b"\\x66\\xFf"), Some(b"f\xff".to_vec()));
        for text in [&b""[..], b"foo", b"\\x6", b"\\x66f", b"\\x66\\y66", b"\\xg0", b"\\x+1"] {
            assert_eq!(unescape(text), None, "{text:?}");
        }
    }
}
