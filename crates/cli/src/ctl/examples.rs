//! Examples for the commands that etcdctl has too. The help of etcdctl has none, so they are shown under our own name only;
//! commands beyond etcdctl bring theirs with their grammar.

/// The lines of a command, by its path.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("alarm disarm", &["quoratectl alarm disarm"]),
    ("alarm list", &["quoratectl alarm list"]),
    ("auth disable", &["quoratectl auth disable --user root"]),
    ("auth enable", &["quoratectl auth enable"]),
    ("auth status", &["quoratectl auth status -w json"]),
    ("check datascale", &["quoratectl check datascale --load s --auto-compact"]),
    ("check perf", &["quoratectl check perf", "quoratectl check perf --load m --auto-compact --auto-defrag"]),
    ("compaction", &["quoratectl compaction 12345", "quoratectl compaction 12345 --physical"]),
    ("completion", &["quoratectl completion bash", "quoratectl completion fish"]),
    ("defrag", &["quoratectl defrag --cluster"]),
    ("del", &["quoratectl del /app/config", "quoratectl del /app/ --prefix --prev-kv"]),
    ("downgrade cancel", &["quoratectl downgrade cancel"]),
    ("downgrade enable", &["quoratectl downgrade enable 3.6"]),
    ("downgrade validate", &["quoratectl downgrade validate 3.6"]),
    ("elect", &["quoratectl elect /app/leader node-1", "quoratectl elect /app/leader --listen"]),
    ("endpoint hashkv", &["quoratectl endpoint hashkv --cluster -w table"]),
    ("endpoint health", &["quoratectl endpoint health --cluster"]),
    ("endpoint status", &["quoratectl endpoint status --cluster -w table"]),
    (
        "get",
        &[
            "quoratectl get /app/config",
            "quoratectl get /app/ --prefix --keys-only",
            "quoratectl get /app/config --rev 41 --print-value-only",
            "quoratectl get /a /b --limit 10 -w json",
        ],
    ),
    ("help", &["quoratectl help lease grant"]),
    ("lease grant", &["quoratectl lease grant 60"]),
    (
        "lease keep-alive",
        &[
            "quoratectl lease keep-alive 32695410dcc0ca06",
            "quoratectl lease keep-alive 32695410dcc0ca06 --once",
        ],
    ),
    ("lease list", &["quoratectl lease list"]),
    ("lease revoke", &["quoratectl lease revoke 32695410dcc0ca06"]),
    ("lease timetolive", &["quoratectl lease timetolive 32695410dcc0ca06 --keys"]),
    ("lock", &["quoratectl lock /app/lock", "quoratectl lock /app/lock --ttl 30 -- ./migrate.sh"]),
    (
        "make-mirror",
        &[
            "quoratectl make-mirror backup.example:2379",
            "quoratectl make-mirror backup.example:2379 --prefix /app/ --dest-prefix /copy/",
        ],
    ),
    ("man", &["quoratectl man /usr/local/share/man/man1"]),
    ("member add", &["quoratectl member add n4 --peer-urls http://10.0.0.4:2380 --learner"]),
    ("member list", &["quoratectl member list -w table"]),
    ("member promote", &["quoratectl member promote 8211f1d0f64f3269"]),
    ("member remove", &["quoratectl member remove 8211f1d0f64f3269"]),
    ("member update", &["quoratectl member update 8211f1d0f64f3269 --peer-urls http://10.0.0.5:2380"]),
    ("move-leader", &["quoratectl move-leader 8211f1d0f64f3269"]),
    ("options", &["quoratectl options"]),
    (
        "put",
        &[
            "quoratectl put /app/config on",
            "quoratectl put /app/node-1 10.0.0.1 --lease 32695410dcc0ca06",
            r#"quoratectl put "/binary/\x00" value --prev-kv"#,
        ],
    ),
    ("role add", &["quoratectl role add reader"]),
    ("role delete", &["quoratectl role delete reader"]),
    ("role get", &["quoratectl role get reader"]),
    (
        "role grant-permission",
        &[
            "quoratectl role grant-permission reader read /app/config",
            "quoratectl role grant-permission reader readwrite /app/ --prefix",
        ],
    ),
    ("role list", &["quoratectl role list"]),
    ("role revoke-permission", &["quoratectl role revoke-permission reader /app/ --prefix"]),
    ("snapshot save", &["quoratectl snapshot save backup.db"]),
    ("txn", &["quoratectl txn --interactive"]),
    ("user add", &["quoratectl user add alice", "quoratectl user add service --no-password"]),
    ("user delete", &["quoratectl user delete alice"]),
    ("user get", &["quoratectl user get alice --detail"]),
    ("user grant-role", &["quoratectl user grant-role alice reader"]),
    ("user list", &["quoratectl user list"]),
    ("user passwd", &["quoratectl user passwd alice"]),
    ("user revoke-role", &["quoratectl user revoke-role alice reader"]),
    ("version", &["quoratectl version"]),
    (
        "watch",
        &[
            "quoratectl watch /app/config",
            "quoratectl watch /app/ --prefix --prev-kv --rev 41",
            "quoratectl watch /app/config -- ./reload.sh",
        ],
    ),
];

/// Returns the lines of the command at `path`. As `etcdctl`, a program has none.
pub fn of(program: &str, path: &[String]) -> Option<String> {
    let path = path.join(" ");
    let found = EXAMPLES.iter().find(|(name, _)| *name == path)?;
    (!program.contains("etcdctl")).then(|| found.1.join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::Command as Grammar;

    use super::*;
    use crate::ctl::{help, line, words};

    /// Returns the paths of all commands that do something.
    fn leaves(command: &Grammar, path: &[String]) -> Vec<Vec<String>> {
        if !command.has_subcommands() {
            return vec![path.to_vec()];
        }
        let below = command.get_subcommands();
        below.flat_map(|below| leaves(below, &[path, &[below.get_name().to_owned()]].concat())).collect()
    }

    #[test]
    fn every_command_has_examples_that_are_lines_of_a_command() {
        let grammar = line::grammar("quoratectl");
        let leaves = leaves(&grammar, &[]);
        assert!(leaves.len() > 60, "{leaves:?}");
        for path in leaves {
            let help = help::render(&grammar, &path);
            let (_, behind) =
                help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("no example: {help}"));
            let examples: Vec<&str> = behind.lines().map_while(|line| line.strip_prefix("  ")).collect();
            assert!(!examples.is_empty(), "{help}");
            let lines = examples.iter().filter(|example| example.starts_with("quoratectl "));
            let named: Vec<_> = lines.map(|example| path_of(example)).collect();
            assert!(named.contains(&path), "{help}");
        }
    }

    /// Returns the command that a line runs, as far as a shell would hand it over.
    fn path_of(example: &str) -> Vec<String> {
        let before_others = example.split(' ').take_while(|word| !["<", ">", "|"].contains(word));
        let text = before_others.collect::<Vec<_>>().join(" ");
        match line::parse(words::split(&text).unwrap()) {
            Ok(Some((_, invocation))) => invocation.path,
            Ok(None) => panic!("{example} prints help"),
            Err(failure) => panic!("{example}: {:?}", failure.text),
        }
    }

    #[test]
    fn every_entry_is_of_a_command() {
        let leaves = leaves(&line::grammar("quoratectl"), &[]);
        for (name, _) in EXAMPLES {
            assert!(leaves.iter().any(|path| path.join(" ") == *name), "{name}");
        }
    }

    #[test]
    fn as_etcdctl_there_are_none() {
        let help = help::render(&line::grammar("etcdctl"), &["get".to_owned()]);
        assert!(!help.contains("Examples:"), "{help}");
    }
}
