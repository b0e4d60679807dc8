//! From the words of a command line to a command with its flags, and what is said of a line that makes no sense.
//!
//! The grammar is clap's, set up as etcdctl's parser (cobra) has it: global flags at any place, commands that may be cut
//! short where that is not ambiguous, the last of repeated flags counts. The words of errors are cobra's.
//!
//! A line is read by the grammar of the command that it names. That of all commands has a copy of the global flags in
//! each of them; it is for lines that name no command, for `help`, for completion and for manual pages.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command as Grammar};

use super::commands::{self, Command};
use super::exit::Failure;
use super::global::{GLOBAL_FLAGS, GlobalFlag, Kind};
use super::{Invocation, help, print};

/// A command that is to be run; `None` when the line asked for help, which is printed already.
pub type Parsed = Option<(&'static Command, Invocation)>;

/// Returns the grammar of all commands.
pub fn grammar(program: &str) -> Grammar {
    grammar_of(program, commands::of(program))
}

/// Returns a grammar of these commands and no others.
fn grammar_of(program: &str, commands: impl IntoIterator<Item = &'static Command>) -> Grammar {
    let root = Grammar::new(program.to_owned())
        .about("A simple command line client for etcd3.")
        .infer_subcommands(true)
        .args_override_self(true)
        .disable_help_subcommand(true)
        .args(GLOBAL_FLAGS.iter().map(GlobalFlag::argument));
    root.subcommands(commands.into_iter().map(Command::whole))
}

/// Returns the grammar that a line is read by: that of its command, or of all if it names none.
fn grammar_for(program: &str, words: &[OsString]) -> Grammar {
    match first_command(program, words) {
        Some(command) => grammar_of(program, [command]),
        None => grammar(program),
    }
}

/// Returns the command that the first word names that is neither a flag nor a flag's value.
fn first_command(program: &str, words: &[OsString]) -> Option<&'static Command> {
    let mut words = words.iter().skip(1).map(|word| word.to_str());
    loop {
        let word = words.next()??;
        if !is_flag(word) {
            return commands::named(program, word);
        }
        if takes_next_word(word) {
            words.next();
        }
    }
}

/// Reads a line; prints help where the line asks for it.
///
/// # Errors
/// When the line makes no sense.
pub fn parse(words: Vec<OsString>) -> Result<Parsed, Failure> {
    let program = program_of(&words);
    parse_with(grammar_for(&program, &words), program, words)
}

fn parse_with(mut root: Grammar, program: String, words: Vec<OsString>) -> Result<Parsed, Failure> {
    let ordered = flags_after_the_command(&root, &words);
    let matches = match root.try_get_matches_from_mut(ordered) {
        Ok(matches) => matches,
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            let path = path_of(&root, &words);
            return helped(&root, &path);
        }
        Err(error) => return Err(refuse(&root, &words, &error)),
    };
    let (path, innermost) = descend(&matches);
    let Some(command) = path.first().and_then(|name| commands::named(&program, name)) else {
        return helped(&root, &path);
    };
    if help::at(&root, &path).has_subcommands() {
        return helped(&root, &path);
    }
    let matches = innermost.clone();
    Ok(Some((command, Invocation::new(program, path, matches, words))))
}

/// Returns the line with the flags of its command after the command. cobra takes them before it as well, where clap knows
/// global flags only.
fn flags_after_the_command(root: &Grammar, words: &[OsString]) -> Vec<OsString> {
    let (mut line, mut moved) = (Vec::new(), Vec::new());
    let mut words = words.iter().cloned();
    line.extend(words.next());
    let mut command = root;
    while command.has_subcommands() {
        let Some(word) = words.next() else { break };
        match word.to_str() {
            Some(flag) if is_flag(flag) => {
                let place = if is_known(flag) { &mut line } else { &mut moved };
                let value = takes_next_word(flag).then(|| words.next()).flatten();
                place.push(word);
                place.extend(value);
            }
            text => {
                let found = text.and_then(|name| find(command, name));
                line.push(word);
                let Some(found) = found else { break };
                command = found;
            }
        }
    }
    line.into_iter().chain(moved).chain(words).collect()
}

fn helped(root: &Grammar, path: &[String]) -> Result<Parsed, Failure> {
    print::write(help::render(root, path).as_bytes())?;
    Ok(None)
}

/// Returns the name of the program, without directories.
pub fn program_of(words: &[OsString]) -> String {
    let name = words.first().and_then(|word| Path::new(word).file_name());
    name.map_or_else(|| "quoratectl".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn descend(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut path, mut innermost) = (Vec::new(), matches);
    while let Some((name, matches)) = innermost.subcommand() {
        path.push(name.to_owned());
        innermost = matches;
    }
    (path, innermost)
}

/// Returns the commands that a line names, however wrong the rest of it is.
fn path_of(root: &Grammar, words: &[OsString]) -> Vec<String> {
    let (mut path, mut command) = (Vec::new(), root);
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            if takes_next_word(word) {
                words.next();
            }
            continue;
        }
        let Some(found) = find(command, word) else { break };
        path.push(found.get_name().to_owned());
        command = found;
    }
    path
}

/// Returns the full names of the commands that these words name, up to the first that names none.
pub fn resolve<'a>(root: &Grammar, words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let (mut path, mut command) = (Vec::new(), root);
    for word in words {
        let Some(found) = find(command, word) else { break };
        path.push(found.get_name().to_owned());
        command = found;
    }
    path
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word != "--"
}

/// Returns whether a flag is one of all commands.
fn is_known(word: &str) -> bool {
    is_help(word) || named(word.split('=').next().unwrap_or_default()).is_some()
}

/// Returns whether the word after a flag is its value. As in cobra, it is for a flag that only the command knows.
fn takes_next_word(word: &str) -> bool {
    if is_help(word) || word.contains('=') {
        return false;
    }
    // What follows the letter of a short flag is its value.
    let is_whole = word.starts_with("--") || word.len() == 2;
    is_whole && named(word).is_none_or(|flag| flag.kind != Kind::Switch)
}

fn is_help(word: &str) -> bool {
    matches!(word, "--help" | "-h")
}

/// Returns the global flag that is written so.
fn named(word: &str) -> Option<&'static GlobalFlag> {
    let is_named = |flag: &&GlobalFlag| match word.strip_prefix("--") {
        Some(long) => flag.name == long,
        None => flag.short.is_some_and(|short| word[1..].starts_with(short)),
    };
    GLOBAL_FLAGS.iter().find(is_named)
}

fn find<'a>(command: &'a Grammar, word: &str) -> Option<&'a Grammar> {
    let mut starting = command.get_subcommands().filter(|known| known.get_name().starts_with(word));
    command.find_subcommand(word).or_else(|| starting.next().filter(|_| starting.next().is_none()))
}

/// Returns what cobra says of a line that clap refuses.
fn refuse(root: &Grammar, words: &[OsString], error: &clap::Error) -> Failure {
    let path = path_of(root, words);
    let command = [&[root.get_name().to_owned()], path.as_slice()].concat().join(" ");
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let said = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let unknown = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            return Failure::error(unknown_command(root, &path, &command, &unknown));
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            return Failure::error(unknown_command(root, &path, &command, &argument));
        }
        ErrorKind::UnknownArgument => unknown_flag(&argument),
        ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue).unwrap_or_default();
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("invalid argument {value:?} for \"{}\" flag: {why}", full_name(&argument))
        }
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            missing_value(&argument, words)
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    };
    Failure::error(format!("{said}\nRun '{command} --help' for usage."))
}

fn unknown_command(root: &Grammar, path: &[String], command: &str, unknown: &str) -> String {
    let known = help::at(root, path).get_subcommands().map(Grammar::get_name);
    let similar: Vec<&str> = known.filter(|name| is_similar(name, unknown)).collect();
    let hint = match similar.as_slice() {
        [] => "\n".to_owned(),
        names => format!("\n\nDid you mean this?\n\t{}\n\n", names.join("\n\t")),
    };
    format!("unknown command \"{unknown}\" for \"{command}\"{hint}Run '{command} --help' for usage.")
}

/// Returns whether a command may have been meant: two slips of the finger apart, or its beginning.
fn is_similar(name: &str, unknown: &str) -> bool {
    name.starts_with(unknown) || distance(name.as_bytes(), unknown.as_bytes()) <= 2
}

/// Returns how many letters must be put in, left out or replaced to make one word of the other (Levenshtein).
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other_letter) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other_letter);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

fn unknown_flag(argument: &str) -> String {
    match argument.strip_prefix("--") {
        Some(long) => format!("unknown flag: --{}", long.split('=').next().unwrap_or_default()),
        None => {
            let letter = argument.chars().nth(1).unwrap_or('-');
            format!("unknown shorthand flag: '{letter}' in {argument}")
        }
    }
}

fn missing_value(argument: &str, words: &[OsString]) -> String {
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let global = GLOBAL_FLAGS.iter().find(|known| flag == format!("--{}", known.name));
    match global.and_then(|known| known.short) {
        Some(short) if words.last().is_some_and(|word| *word == *format!("-{short}")) => {
            format!("flag needs an argument: '{short}' in -{short}")
        }
        _ => format!("flag needs an argument: {flag}"),
    }
}

/// Returns a flag as pflag names it: `--limit`, `-w, --write-out`.
fn full_name(argument: &str) -> String {
    let flag = argument.split([' ', '=', '[']).next().unwrap_or_default();
    let global = GLOBAL_FLAGS.iter().find(|known| flag == format!("--{}", known.name));
    match global.and_then(|known| known.short) {
        Some(short) => format!("-{short}, {flag}"),
        None => flag.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! Lines as etcdctl takes and refuses them.

    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        ["etcdctl"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    fn parsed(line: &str) -> Result<Invocation, String> {
        outcome(parse(words(line)))
    }

    fn outcome(parsed: Result<Parsed, Failure>) -> Result<Invocation, String> {
        match parsed {
            Ok(Some((_, invocation))) => Ok(invocation),
            Ok(None) => Err("help".to_owned()),
            Err(failure) => Err(failure.text.unwrap_or_default()),
        }
    }

    #[test]
    fn commands_may_be_cut_short_and_global_flags_stand_anywhere() {
        use super::super::flags::Flags as _;
        let invocation =
            parsed("--hex --endpoints=a ge -w fields k --limit 0x10 -w json --hex=false end").unwrap();
        assert_eq!(invocation.path, ["get"]);
        assert_eq!(invocation.matches.number("limit"), 16);
        assert_eq!(invocation.text_arguments(), ["k", "end"]);
        let globals = super::super::global::Globals::resolve(&invocation.matches).unwrap();
        assert_eq!(globals.text("write-out"), "json");
        assert_eq!(globals.endpoints(), ["a"]);
        assert!(!globals.hex());
    }

    #[test]
    fn the_flags_of_a_command_may_stand_before_it() {
        use super::super::flags::Flags as _;
        let invocation = parsed("--endpoints=a --consistency s get k -w json").unwrap();
        assert_eq!(invocation.path, ["get"]);
        assert_eq!(invocation.matches.text("consistency"), Some("s"));
        assert_eq!(invocation.text_arguments(), ["k"]);
        assert_eq!(parsed("--limit=3 -w json get k").unwrap().matches.number("limit"), 3);
        let invocation = parsed("member --consistency s --hex list").unwrap();
        assert_eq!((invocation.path.len(), invocation.matches.text("consistency")), (2, Some("s")));
        assert_eq!(
            parsed("--nonsense 1 get k").unwrap_err().lines().next(),
            Some("unknown flag: --nonsense")
        );
        assert_eq!(parsed("--help get").unwrap_err(), "help");
    }

    #[test]
    fn the_value_of_a_short_flag_may_follow_its_letter() {
        use super::super::flags::Flags as _;
        let invocation = parsed("-wjson --limit=3 get k").unwrap();
        assert_eq!(
            (invocation.path.as_slice(), invocation.matches.number("limit")),
            (&["get".into()][..], 3)
        );
        assert_eq!(path_of(&grammar("etcdctl"), &words("-wjson get --help")), ["get"]);
    }

    #[test]
    fn the_grammar_of_a_command_reads_its_lines_as_that_of_all_commands_does() {
        for line in [
            "get k",
            "g k",
            "--endpoints get -w json ge k end --prefix",
            "-wfields --limit 3 get k",
            "member add n --peer-urls=a",
            "-d get member l --hex=false",
            "member",
            "member nonsense",
            "member add --nonsense",
            "get --limit",
            "get --limit x k",
            "--hex=maybe get k",
            "get -- -k --help",
            "get a b c d",
        ] {
            assert!(first_command("etcdctl", &words(line)).is_some(), "{line}");
            let whole = parse_with(grammar("etcdctl"), "etcdctl".to_owned(), words(line));
            assert_eq!(format!("{:?}", parsed(line)), format!("{:?}", outcome(whole)), "{line}");
        }
        for line in ["", "--help", "zzz", "e", "-- get k", "- get k", "--endpoints", "-w"] {
            assert!(first_command("etcdctl", &words(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn the_grammar_of_a_command_has_the_help_that_that_of_all_commands_has() {
        let all = grammar("quoratectl");
        for command in commands::of("quoratectl") {
            let alone = grammar_of("quoratectl", [command]);
            let below = command.whole();
            let below =
                below.get_subcommands().map(|below| vec![command.name.into(), below.get_name().into()]);
            for path in below.chain([vec![command.name.to_owned()]]) {
                assert_eq!(help::render(&alone, &path), help::render(&all, &path));
            }
        }
    }

    #[test]
    fn arguments_after_a_double_dash_are_no_flags() {
        assert_eq!(parsed("put -- -k -v").unwrap().text_arguments(), ["-k", "-v"]);
        assert_eq!(parsed("put k -- -v").unwrap().text_arguments(), ["k", "-v"]);
        assert_eq!(parsed("get a b c d").unwrap().text_arguments(), ["a", "b", "c", "d"]);
        assert_eq!(parsed("get - --prefix").unwrap().text_arguments(), ["-"]);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_refused_in_cobras_words() {
        let cases = [
            (
                "gte",
                "unknown command \"gte\" for \"etcdctl\"\n\nDid you mean this?\n\tget\n\nRun 'etcdctl --help' for usage.",
            ),
            ("zzzzzz", "unknown command \"zzzzzz\" for \"etcdctl\"\nRun 'etcdctl --help' for usage."),
            ("get --foo=1 k", "unknown flag: --foo\nRun 'etcdctl get --help' for usage."),
            ("get -x k", "unknown shorthand flag: 'x' in -x\nRun 'etcdctl get --help' for usage."),
            ("put k -1", "unknown shorthand flag: '1' in -1\nRun 'etcdctl put --help' for usage."),
            ("get k --limit", "flag needs an argument: --limit\nRun 'etcdctl get --help' for usage."),
            ("get k -w", "flag needs an argument: 'w' in -w\nRun 'etcdctl get --help' for usage."),
            (
                "get k --limit a",
                "invalid argument \"a\" for \"--limit\" flag: strconv.ParseInt: parsing \"a\": invalid syntax\n\
                 Run 'etcdctl get --help' for usage.",
            ),
            (
                "get k --prefix=maybe",
                "invalid argument \"maybe\" for \"--prefix\" flag: strconv.ParseBool: parsing \"maybe\": invalid \
                 syntax\nRun 'etcdctl get --help' for usage.",
            ),
        ];
        for (line, said) in cases {
            assert_eq!(parsed(line).unwrap_err(), said, "{line}");
        }
    }

    #[test]
    fn the_grammar_is_consistent() {
        grammar("etcdctl").debug_assert();
    }
}
