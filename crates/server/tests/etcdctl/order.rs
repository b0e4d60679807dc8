//! What comes in the order of members, which is that of their ids, or in that of their answers: sorted by what it says, with
//! names in place of ids.

use serde_json::Value;

/// The elements of a JSON list, or the blocks of the `fields` format.
pub(super) fn elements(text: &str) -> String {
    if text.starts_with('"') {
        return blocks(text).concat();
    }
    text.lines().map(|line| json(line) + "\n").collect()
}

/// A block ends with an empty line; a member's also begins with its id.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in text.split_inclusive('\n') {
        let is_over = blocks.last().is_some_and(|block| block.ends_with("\n\n"));
        if is_over || line.starts_with("\"ID\" : ") {
            blocks.push(String::new());
        }
        blocks.last_mut().expect("there is one").push_str(line);
    }
    blocks.sort_unstable();
    blocks
}

/// A line of JSON with one list of objects in it.
fn json(line: &str) -> String {
    let list = line.starts_with(['{', '[']).then(|| line.split_once("[{")).flatten();
    match list.and_then(|(before, rest)| Some((before, rest.rsplit_once("}]")?))) {
        Some((before, (elements, after))) => {
            let mut elements: Vec<&str> = elements.split("},{").collect();
            elements.sort_unstable();
            format!("{before}[{{{}}}]{after}", elements.join("},{"))
        }
        None => line.to_owned(),
    }
}

/// Whether this is a JSON list of members, in the order of their ids.
pub(super) fn is_by_id(json: &[u8]) -> bool {
    let parsed: Value = serde_json::from_slice(json).unwrap_or_default();
    let members = parsed["members"].as_array().into_iter().flatten();
    let ids: Vec<u64> = members.filter_map(|member| member["ID"].as_u64()).collect();
    !ids.is_empty() && ids.is_sorted()
}

/// Lines of columns, and the list that `member add` prints for a shell.
pub(super) fn rows(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.map(|line| shell_list(&line)).collect();
    let is_made_of_rows = |line: &String| {
        let text = line.trim_start_matches("  | ");
        !text.starts_with(['"', '{', '[']) && !text.starts_with("ETCD_")
    };
    if lines.iter().all(is_made_of_rows) {
        lines.sort_unstable();
    }
    lines
}

fn shell_list(line: &str) -> String {
    let list = line.split_once("ETCD_INITIAL_CLUSTER=\"").and_then(|(_, list)| list.strip_suffix('"'));
    let Some(list) = list else { return line.to_owned() };
    let mut members: Vec<&str> = list.split(',').collect();
    members.sort_unstable();
    line.replace(list, &members.join(","))
}

/// The fields of a message on the wire, each with the lines of the message in it.
pub(super) fn messages(lines: Vec<String>) -> Vec<String> {
    let mut messages: Vec<Vec<String>> = Vec::new();
    for line in lines {
        match messages.last_mut() {
            Some(message) if line.starts_with("  |   ") => message.push(line),
            _ => messages.push(vec![line]),
        }
    }
    messages.sort_unstable();
    messages.concat()
}

#[test]
fn what_has_an_order_of_its_own_loses_it() {
    let list = "{\"header\":{\"a\":[]},\"members\":[{\"ID\":<m2>,\"x\":[\"u\"]},{\"ID\":<m1>}]}\n";
    assert_eq!(
        elements(list),
        "{\"header\":{\"a\":[]},\"members\":[{\"ID\":<m1>},{\"ID\":<m2>,\"x\":[\"u\"]}]}\n"
    );
    let fields = "\"ClusterID\" : 1\n\"ID\" : 3\n\"Name\" : x\n\n\"ID\" : 2\n\n";
    assert_eq!(elements(fields), "\"ClusterID\" : 1\n\"ID\" : 2\n\n\"ID\" : 3\n\"Name\" : x\n\n");
    let lines = |text: &str| rows(text.split('/').map(|line| format!("  | {line}")));
    assert_eq!(lines("<m2>, started/<m1>, started"), ["  | <m1>, started", "  | <m2>, started"]);
    assert_eq!(
        lines("Member 1/ETCD_INITIAL_CLUSTER=\"b=2,a=1\""),
        ["  | Member 1", "  | ETCD_INITIAL_CLUSTER=\"a=1,b=2\""]
    );
    let wire = ["  | 1: header", "  | 2: header", "  |   1: <m2>", "  | 2: header", "  |   1: <m1>"];
    assert_eq!(messages(wire.map(str::to_owned).into()).concat(), [0, 3, 4, 1, 2].map(|i| wire[i]).concat());
}

#[test]
fn the_order_of_ids_is_seen() {
    let list = |first, second| format!("{{\"members\":[{{\"ID\":{first}}},{{\"ID\":{second}}}]}}");
    assert!(is_by_id(list(1, 2).as_bytes()) && !is_by_id(list(2, 1).as_bytes()) && !is_by_id(b"x"));
}
