//! What may differ between two servers that behave alike: ids, addresses, versions, terms, raft indexes, sizes, times.
//!
//! Everything else (texts, revisions, counts, hashes, order, exit codes) is compared as it is.

#[path = "order.rs"]
mod order;

/// Numbers after these keys depend on the server's run, not on its behaviour.
const NUMBERS: [&str; 13] = [
    "\"raft_term\":",
    "\"raftTerm\":",
    "\"RaftTerm\" : ",
    "\"raftIndex\":",
    "\"RaftIndex\" : ",
    "\"raftAppliedIndex\":",
    "\"RaftAppliedIndex\" : ",
    "\"dbSize\":",
    "\"DBSize\" : ",
    "\"dbSizeInUse\":",
    "\"DBSizeInUse\" : ",
    "remaining(",
    "\"ttl\":",
];

/// The remaining time of a lease has the granted one's key in this format; only this command prints it.
const TIME_TO_LIVE_NUMBERS: [&str; 1] = ["\"TTL\" : "];

/// What stands after these keys, up to the character given, is a time or a version.
const TEXTS: [(&str, char); 6] = [
    ("took = ", '\n'),
    ("\"took\":\"", '"'),
    ("\"Took\" : ", '\n'),
    (". took ", '\n'),
    ("\"version\":\"", '"'),
    ("\"Version\" : \"", '"'),
];

/// The columns of `endpoint status` that depend on the server's run, counted from 0, by the number of columns:
/// version, size, term, index, applied index (3.4: 10 columns; 3.6: 16, with storage version, size in use,
/// percentage, quota).
const STATUS_COLUMNS: [(usize, &[usize]); 2] = [(10, &[2, 3, 6, 7, 8]), (16, &[2, 3, 4, 5, 6, 10, 11, 12])];

/// The same of `endpoint health`: the time it took.
const HEALTH_COLUMNS: [(usize, &[usize]); 1] = [(4, &[2])];

/// Client and server watch the same deadline; which of them ends a call first is a matter of chance, and who did, all that
/// these say.
const DEADLINE_PASSED: [&str; 3] = [
    "rpc error: code = DeadlineExceeded desc = stream terminated by RST_STREAM with error code: CANCEL",
    "rpc error: code = DeadlineExceeded desc = context deadline exceeded",
    "rpc error: code = Unknown desc = context deadline exceeded",
];

/// What is known of one server: each text that stands for something else on the other, and the name of it.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    names: Vec<(String, String)>,
    ids: Vec<(u64, String)>,
}

impl Facts {
    /// Knows an address.
    pub(crate) fn address(&mut self, name: &str, address: &str) {
        self.names.push((address.to_owned(), name.to_owned()));
    }

    /// Knows a 64-bit id, in all the forms it is printed in.
    pub(crate) fn id(&mut self, name: &str, id: u64) {
        self.ids.push((id, name.to_owned()));
        // The padded form first: the other one is a part of it.
        for form in [format!("{id:016x}"), format!("{id:x}"), id.to_string()] {
            self.names.push((form, name.to_owned()));
        }
    }

    /// The lines of standard output of a call, each as `  | text`.
    pub(crate) fn stdout(&self, arguments: &[String], stdout: &[u8]) -> Vec<String> {
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        if words.contains(&"protobuf")
            && let Some(lines) = self.protobuf(stdout)
        {
            return if is_list(&words) { order::messages(lines) } else { lines };
        }
        // etcdctl 3.7 draws its tables with lines, 3.4 with ASCII.
        let mut text = self.replace(&printable(stdout)).replace('│', "|");
        if words.starts_with(&["lease", "timetolive"]) {
            text = sort_keys(&mask_numbers(text, &TIME_TO_LIVE_NUMBERS));
        }
        if words.starts_with(&["endpoint", "status"]) {
            text = text.lines().map(|line| mask_columns(line, &STATUS_COLUMNS) + "\n").collect();
        }
        if words.starts_with(&["endpoint", "health"]) {
            text = text.lines().map(|line| mask_columns(line, &HEALTH_COLUMNS) + "\n").collect();
        }
        if is_list(&words) {
            text = without_blanks_before_ids(text);
            text = order::elements(&text) + if order::is_by_id(stdout) { "(members by id)\n" } else { "" };
        }
        let lines = text
            .lines()
            .filter(|line| !line.starts_with(['┌', '├', '└']) && !line.starts_with("+-"))
            .map(|line| format!("  | {}", cells(line)));
        if is_list(&words) { order::rows(lines) } else { lines.collect() }
    }

    /// The lines of standard error, each as `  ! text`. Of etcdctl's own log lines the message and the error stay.
    pub(crate) fn stderr(&self, arguments: &[String], stderr: &[u8]) -> Vec<String> {
        let text = printable(stderr);
        let text =
            DEADLINE_PASSED.iter().fold(text, |text, said| text.replace(said, "context deadline exceeded"));
        // A panic of the client itself (its older versions have some) ends with addresses.
        let said = text.split("\ngoroutine ").next().unwrap_or_default();
        let lines = said.lines().filter(|line| !line.is_empty() && !line.starts_with("[signal "));
        let mut lines: Vec<String> =
            lines.map(|line| format!("  ! {}", self.replace(&log_line(line)))).collect();
        // How often the client tries again is its affair.
        lines.dedup();
        // Endpoints are asked at once.
        if arguments.starts_with(&["endpoint".into(), "health".into()]) {
            lines.sort_unstable();
        }
        lines
    }

    fn replace(&self, text: &str) -> String {
        let named = self.names.iter().fold(text.to_owned(), |text, (form, name)| text.replace(form, name));
        let masked = TEXTS.iter().fold(named, |text, (key, end)| mask_text(&text, key, *end));
        mask_numbers(masked, &NUMBERS)
    }

    /// A response in protobuf: its header (field 1) without what is the server's own, and the other fields as they are.
    /// Field 1 of a member list's header is checked as the ids that they are.
    fn protobuf(&self, bytes: &[u8]) -> Option<Vec<String>> {
        let lines = wire_lines(bytes, 0)?;
        // Of a lease command etcdctl prints a header and nothing else.
        let bare_header = matches!(lines.first(), Some((0, 1, Wire::Number(_))));
        let term = if bare_header { (0, 4) } else { (1, 4) };
        Some(
            lines
                .into_iter()
                .map(|(depth, field, value)| self.wire_line(depth, field, value, term))
                .collect(),
        )
    }

    fn wire_line(&self, depth: usize, field: u64, value: Wire, term: (usize, u64)) -> String {
        let value = match value {
            Wire::Number(number) => match self.ids.iter().find(|(id, _)| *id == number) {
                Some((_, name)) => name.clone(),
                None if (depth, field) == term => "<term>".to_owned(),
                None => number.to_string(),
            },
            Wire::Bytes(bytes) => self.replace(&printable(&bytes)),
            Wire::Header => "header".to_owned(),
        };
        format!("  | {}{field}: {value}", "  ".repeat(depth))
    }
}

/// Whether a call lists members, whose order depends on their ids, or asks endpoints in the order of such a list, or all at
/// once.
fn is_list(words: &[&str]) -> bool {
    words.first().is_some_and(|command| ["member", "endpoint", "defrag", "alarm"].contains(command))
}

/// A field of a message on the wire.
enum Wire {
    Number(u64),
    Bytes(Vec<u8>),
    Header,
}

/// Fields of a message, those of a top-level field 1 (the response header) one level deeper; `None` when it is no
/// message.
fn wire_lines(mut bytes: &[u8], depth: usize) -> Option<Vec<(usize, u64, Wire)>> {
    let mut lines = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = tag >> 3;
        match tag & 7 {
            0 => lines.push((depth, field, Wire::Number(varint(&mut bytes)?))),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                // A response's own field 1 is its header; of a member list, field 2 is a member with an id in it.
                match wire_lines(value, depth + 1) {
                    Some(inner) if depth == 0 && field <= 2 && !value.is_empty() => {
                        lines.push((depth, field, Wire::Header));
                        lines.extend(inner);
                    }
                    _ => lines.push((depth, field, Wire::Bytes(value.to_owned()))),
                }
            }
            _ => return None,
        }
    }
    Some(lines)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Text with its newlines; what is not text escaped; long runs of one letter shortened.
fn printable(bytes: &[u8]) -> String {
    let escaped: Vec<String> =
        bytes
            .split(|byte| *byte == b'\n')
            .map(|line| match std::str::from_utf8(line) {
                Ok(text) if !text.contains(char::is_control) => text.to_owned(),
                _ => line.escape_ascii().to_string(),
            })
            .map(|line| {
                if line.len() > 2000 { format!("{} bytes beginning {:.20}", line.len(), line) } else { line }
            })
            .collect();
    escaped.join("\n")
}

fn mask_numbers(text: String, keys: &[&str]) -> String {
    keys.iter().fold(text, |text, key| {
        let mut pieces = text.split(key);
        let mut masked = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            masked.push_str(key);
            masked.push_str(if digits > 0 { "<n>" } else { "" });
            masked.push_str(&piece[digits..]);
        }
        masked
    })
}

fn mask_text(text: &str, key: &str, end: char) -> String {
    let mut pieces = text.split(key);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        masked.push_str(key);
        masked.push('~');
        masked.push_str(&piece[piece.find(end).unwrap_or(piece.len())..]);
    }
    masked
}

/// A line of columns, simple or a table's row, without those that depend on the run: `masked` lists them by the number
/// of columns.
fn mask_columns(line: &str, masked: &[(usize, &[usize])]) -> String {
    let (separator, inner) = match line.strip_prefix('|').and_then(|line| line.strip_suffix('|')) {
        Some(inner) => ("|", inner),
        None => (", ", line),
    };
    let mut columns: Vec<&str> = inner.split(separator).map(str::trim).collect();
    let Some((_, masked)) = masked.iter().find(|(count, _)| *count == columns.len()) else {
        return line.to_owned();
    };
    if columns[0] != "ENDPOINT" {
        masked.iter().for_each(|column| columns[*column] = "~");
    }
    columns.join(" | ")
}

/// An id that begins with zeros is printed shorter, with a blank in front for each of them.
fn without_blanks_before_ids(mut text: String) -> String {
    for word in ["Member ", "cluster "] {
        let padded = format!("{word} ");
        while text.contains(&padded) {
            text = text.replace(&padded, word);
        }
    }
    text
}

/// A table's row without its padding, which depends on the widths of ids.
fn cells(line: &str) -> String {
    match line.strip_prefix('|') {
        Some(inner) => inner.split('|').map(str::trim).collect::<Vec<_>>().join(" | "),
        None => line.to_owned(),
    }
}

/// The attached keys of a lease come in no order.
fn sort_keys(text: &str) -> String {
    let sorted = |start: &str, end: &str, separator: &str| {
        let (before, rest) = text.split_once(start)?;
        let (keys, after) = rest.split_once(end)?;
        let mut keys: Vec<&str> = keys.split(separator).collect();
        keys.sort_unstable();
        Some(format!("{before}{start}{}{end}{after}", keys.join(separator)))
    };
    let mut keys: Vec<&str> = text.lines().filter(|line| line.starts_with("\"Key\" : ")).collect();
    if !keys.is_empty() {
        keys.sort_unstable();
        let others = text.lines().filter(|line| !line.starts_with("\"Key\" : "));
        return others.chain(keys).map(|line| format!("{line}\n")).collect();
    }
    sorted("attached keys([", "])", " ")
        .or_else(|| sorted("\"keys\":[", "]", ","))
        .unwrap_or_else(|| text.to_owned())
}

/// Of a JSON log line of the client, what it says; where and when it says so is the client's affair.
fn log_line(line: &str) -> String {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else { return line.to_owned() };
    let text = |key| fields.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    format!("{}: {} ({})", text("level"), text("msg"), text("error"))
}

#[test]
fn what_is_the_servers_own_goes_and_the_rest_stays() {
    let mut facts = Facts::default();
    facts.id("<member>", 0xabc);
    facts.address("<client>", "127.0.0.1:2379");
    let lines = facts.stdout(
        &["endpoint".into(), "status".into()],
        b"127.0.0.1:2379, abc, 3.4.23, 25 kB, true, false, 2, 63, 63, \n",
    );
    assert_eq!(lines, ["  | <client> | <member> | ~ | ~ | true | false | ~ | ~ | ~ | "]);
    let lines = facts.stdout(&["member".into(), "remove".into()], b"Member              abc removed\n");
    assert_eq!(lines, ["  | Member <member> removed"]);
    let lines =
        facts.stdout(&["get".into()], b"{\"header\":{\"member_id\":2748,\"revision\":7,\"raft_term\":2}}\n");
    assert_eq!(lines, ["  | {\"header\":{\"member_id\":<member>,\"revision\":7,\"raft_term\":<n>}}"]);
    let lines =
        facts.stdout(&["lease".into(), "timetolive".into()], b"remaining(99s), attached keys([k2 k1])\n");
    assert_eq!(lines, ["  | remaining(<n>s), attached keys([k1 k2])"]);
    let lines =
        facts.stdout(&["get".into(), "protobuf".into()], &[10, 5, 0x10, 0xbc, 0x15, 0x20, 7, 0x20, 1]);
    assert_eq!(lines, ["  | 1: header", "  |   2: <member>", "  |   4: <term>", "  | 4: 1"]);
    assert_eq!(
        facts.stderr(&[], b"{\"level\":\"warn\",\"ts\":1,\"msg\":\"retrying\",\"error\":\"e\"}\n"),
        ["  ! warn: retrying (e)"]
    );
}
