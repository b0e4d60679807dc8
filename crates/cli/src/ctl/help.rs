//! Help, in the layout of etcdctl: a section for each group of commands, then the flags, one line each.

use clap::{Arg, Command as Grammar};

use super::commands::{self, Group};
use super::examples;
use super::global::{GLOBAL_FLAGS, GlobalFlag, Kind};

/// Returns the grammar of the command at `path`.
pub fn at<'a>(root: &'a Grammar, path: &[String]) -> &'a Grammar {
    path.iter().fold(root, |command, name| command.find_subcommand(name).unwrap_or(command))
}

/// Returns the help of the command at `path`.
pub fn render(root: &Grammar, path: &[String]) -> String {
    let program = root.get_name();
    let command = at(root, path);
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let full_name = [&[program.to_owned()], path].concat().join(" ");
    let mut help = format!("{}\n\nUsage:\n  {}\n", about.trim_end(), usage(command, &full_name));
    let own = command.get_after_help().map(ToString::to_string);
    if let Some(examples) = own.or_else(|| examples::of(program, path)) {
        help += &format!("\nExamples:\n{}\n", indent(&examples));
    }
    if path.is_empty() {
        help += &groups(root);
    } else {
        if command.has_subcommands() {
            let commands: Vec<_> = command.get_subcommands().collect();
            help += &format!("\nAvailable Commands:\n{}", listed(&commands));
        }
        let inherited = inherited(root, path);
        help += &format!("\nFlags:\n{}", flags(command, &inherited));
        if !inherited.is_empty() {
            help += &format!("\nGlobal Flags:\n{}", aligned(&lines_of(inherited.iter().copied())));
        }
    }
    if command.has_subcommands() {
        help += &format!("\nUse \"{full_name} [command] --help\" for more information about a command.\n");
    }
    help += "Use \"etcdctl options\" for a list of global command-line options (applies to all commands).\n";
    help.replace("etcdctl ", &format!("{program} "))
}

/// The commands whose usage does not say that they take flags.
const WITHOUT_FLAGS: [&str; 1] = ["completion"];

fn usage(command: &Grammar, full_name: &str) -> String {
    if command.has_subcommands() {
        return format!("{full_name} [command]");
    }
    let usage = command.clone().render_usage().to_string();
    let arguments = usage.trim_start_matches("Usage:").trim();
    let flags = if WITHOUT_FLAGS.contains(&command.get_name()) { "" } else { "[flags]" };
    [full_name, arguments, flags]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The width of the longest name, as cobra has it: never less than this.
const NAME_WIDTH_MIN: usize = 11;

fn groups(root: &Grammar) -> String {
    let group = |group: Group| {
        let mut commands: Vec<_> =
            commands::of(root.get_name()).filter(|command| command.group == group).collect();
        if commands.is_empty() {
            return String::new();
        }
        commands.sort_by_key(|command| command.name);
        let grammars: Vec<_> = commands.iter().map(|command| command.whole()).collect();
        let grammars: Vec<_> = grammars.iter().collect();
        format!("\n{}\n{}", group.title(), listed(&grammars))
    };
    Group::ALL.into_iter().map(group).collect()
}

fn listed(commands: &[&Grammar]) -> String {
    let mut commands: Vec<_> = commands.iter().copied().filter(|command| !command.is_hide_set()).collect();
    commands.sort_by_key(|command| command.get_name());
    let widest =
        commands.iter().map(|command| command.get_name().len()).max().unwrap_or(0).max(NAME_WIDTH_MIN);
    let line = |command: &&Grammar| {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        format!("  {:widest$} {about}\n", command.get_name())
    };
    commands.iter().map(line).collect()
}

/// Returns the flags that a command has from those around it: not the global ones of all commands, which are hidden.
fn inherited<'a>(root: &'a Grammar, path: &[String]) -> Vec<&'a Arg> {
    let around = (0..path.len()).map(|depth| at(root, &path[..depth]));
    let flags = around.flat_map(Grammar::get_arguments);
    flags.filter(|argument| argument.is_global_set() && !argument.is_hide_set()).collect()
}

/// Returns the lines of a command's own flags.
fn flags(command: &Grammar, inherited: &[&Arg]) -> String {
    let is_own = |argument: &&Arg| !inherited.iter().any(|other| other.get_id() == argument.get_id());
    let mut lines = lines_of(command.get_arguments().filter(is_own));
    lines.push(FlagLine {
        name: "help".to_owned(),
        left: "  -h, --help".to_owned(),
        right: format!("help for {}", command.get_name()),
    });
    lines.sort_by(|one, other| one.name.cmp(&other.name));
    aligned(&lines)
}

fn lines_of<'a>(arguments: impl Iterator<Item = &'a Arg>) -> Vec<FlagLine> {
    let shown = arguments.filter(|argument| !argument.is_hide_set() && argument.get_id() != "help");
    shown.filter_map(FlagLine::of).collect()
}

/// Returns the lines of the global flags.
pub fn global_flags() -> String {
    aligned(&GLOBAL_FLAGS.iter().map(FlagLine::of_global).collect::<Vec<_>>())
}

fn aligned(lines: &[FlagLine]) -> String {
    let widest = lines.iter().map(|line| line.left.len()).max().unwrap_or(0);
    lines.iter().map(|line| format!("{:widest$}   {}\n", line.left, line.right)).collect()
}

struct FlagLine {
    name: String,
    left: String,
    right: String,
}

impl FlagLine {
    fn new(name: &str, short: Option<char>, takes: &str, right: String) -> FlagLine {
        let short = short.map_or_else(|| "      ".to_owned(), |short| format!("  -{short}, "));
        let takes = if takes.is_empty() || takes == "bool" { String::new() } else { format!(" {takes}") };
        FlagLine { name: name.to_owned(), left: format!("{short}--{name}{takes}"), right }
    }

    fn of(argument: &Arg) -> Option<FlagLine> {
        let name = argument.get_long()?;
        let takes =
            argument.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        Some(FlagLine::new(name, argument.get_short(), takes, help))
    }

    fn of_global(flag: &GlobalFlag) -> FlagLine {
        let takes = match flag.kind {
            Kind::Switch => "",
            Kind::Text => "string",
            Kind::List => "strings",
            Kind::Number => "int",
            Kind::Duration => "duration",
        };
        let default = match (flag.kind, flag.default) {
            (_, "" | "false" | "0") => String::new(),
            (Kind::Text, default) => format!(" (default \"{default}\")"),
            (Kind::List, default) => format!(" (default [{default}])"),
            (_, default) => format!(" (default {default})"),
        };
        FlagLine::new(flag.name, flag.short, takes, format!("{}{default}", flag.help))
    }
}
