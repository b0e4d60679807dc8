//! Names in braces for what differs from run to run: addresses, ids, terms, times.

use quorate_cli::go::quote::quote;

/// What is put in place of what.
pub(crate) struct Names {
    pub(crate) endpoint: String,
    replacements: Vec<(String, String)>,
    /// Ids as they are in an encoded header.
    encoded: Vec<(Vec<u8>, String)>,
    /// The leases that were granted, by name.
    leases: Vec<(String, String)>,
}

impl Names {
    pub(crate) fn new(endpoint: &str) -> Names {
        let replacements = vec![(endpoint.to_owned(), "{endpoint}".to_owned())];
        Names { endpoint: endpoint.to_owned(), replacements, encoded: Vec::new(), leases: Vec::new() }
    }

    /// Learns the ids of cluster and member from an answer in JSON.
    pub(crate) fn learn_ids(&mut self, answer: &str) {
        for name in ["cluster", "member"] {
            let id = digits_after(answer, &format!("\"{name}_id\":"));
            let number: u64 = id.parse().unwrap_or_else(|_| panic!("no {name}_id in {answer}"));
            self.encoded.push((varint(number), format!("{{{name}}}")));
            self.replacements.push((id, format!("{{{name}:d}}")));
            self.replacements.push((format!("{number:x}"), format!("{{{name}}}")));
        }
    }

    /// Learns a lease from what was printed when it was granted.
    pub(crate) fn learn_lease(&mut self, name: &str, granted: &str) {
        let id = granted.split_whitespace().nth(1).unwrap_or_default();
        let number = i64::from_str_radix(id, 16).unwrap_or_else(|_| panic!("no lease in {granted:?}"));
        self.leases.push((name.to_owned(), id.to_owned()));
        self.replacements.push((number.to_string(), format!("{{{name}:d}}")));
        self.replacements.push((id.to_owned(), format!("{{{name}}}")));
    }

    /// Returns a command with the real things in place of the names.
    pub(crate) fn put_into(&self, command: &str) -> String {
        let command = command.replace("{endpoint}", &self.endpoint);
        self.leases.iter().fold(command, |command, (name, id)| command.replace(&format!("{{{name}}}"), id))
    }

    /// Returns the lines of output with names in place of the real things.
    pub(crate) fn normal_output(&self, output: &[u8]) -> Vec<String> {
        let is_text = |text: &&str| !text.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
        match std::str::from_utf8(output).ok().filter(is_text) {
            Some("") => Vec::new(),
            Some(text) if text.ends_with('\n') => {
                self.normal(text).lines().map(|line| format!("| {line}").trim_end().to_owned()).collect()
            }
            _ => vec![format!("|q {}", self.normal(&quote(&self.without_ids(without_header(output)))))],
        }
    }

    /// Returns an encoded header with names in place of the ids.
    fn without_ids(&self, answer: &[u8]) -> Vec<u8> {
        self.encoded.iter().fold(answer.to_vec(), |answer, (id, name)| {
            let found = answer.windows(id.len()).position(|window| window == id);
            found.map_or(answer.clone(), |at| {
                [&answer[..at], name.as_bytes(), &answer[at + id.len()..]].concat()
            })
        })
    }

    pub(crate) fn normal(&self, text: &str) -> String {
        let text =
            self.replacements.iter().fold(text.to_owned(), |text, (real, name)| text.replace(real, name));
        let numbers = [
            ("\"raft_term\":", "{term}"),
            ("\"RaftTerm\" : ", "{term}"),
            ("remaining(", "{time}"),
            ("\"ttl\":", "{time}"),
            ("\"TTL\" : ", "{time}"),
            ("took = ", "{time}"),
            // The keys of locks and elections end with a lease in hexadecimal.
            ("name/", "{lease}"),
        ];
        numbers.iter().fold(text, |text, (before, name)| without_numbers(&text, before, name))
    }
}

fn digits_after(text: &str, before: &str) -> String {
    let rest = text.split_once(before).map_or("", |(_, rest)| rest);
    rest.chars().take_while(char::is_ascii_digit).collect()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn is_part_of_number(character: char) -> bool {
    matches!(character, '0'..='9' | 'a'..='f' | '.')
}

/// Puts `name` in place of each number that follows `before`.
fn without_numbers(text: &str, before: &str, name: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(is_part_of_number);
        let name = if rest.len() == part.len() { "" } else { name };
        format!("{text}{before}{name}{rest}")
    })
}

/// Returns an encoded answer without its first field, which is the header.
fn without_header(answer: &[u8]) -> &[u8] {
    match answer {
        [0x0a, length, rest @ ..] if *length < 0x80 => rest.get(usize::from(*length)..).unwrap_or(answer),
        _ => answer,
    }
}
