//! Where an older etcd answers otherwise than the contract (etcd 3.7) says: `differences.txt`, read and checked.

use testkit::Version;

use crate::side::Answer;

/// One listed difference.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Name of the call.
    pub(crate) call: String,
    /// The row of the contract that says which answer is right.
    pub(crate) contract: String,
    /// The versions of etcd that answer otherwise: the named one and all before it.
    pub(crate) until: Version,
    /// What that etcd answers.
    pub(crate) etcd: Answer,
    /// What the contract wants.
    pub(crate) wanted: Answer,
}

impl Difference {
    /// The difference as it stands in the file.
    pub(crate) fn render(
        call: &str,
        contract: &str,
        until: Version,
        etcd: &Answer,
        wanted: &Answer,
    ) -> String {
        let block = |answer: &Answer| answer.0.join("\n");
        format!(
            "call: {call}\ncontract: {contract}\netcd until {until}:\n{}\nquorate:\n{}\n",
            block(etcd),
            block(wanted)
        )
    }
}

/// Reads the file: blocks separated by empty lines, as [`Difference::render`] writes them; `#` starts a comment line.
///
/// # Panics
/// On a block of another shape, or one that names no row of the contract.
pub(crate) fn parse(text: &str) -> Vec<Difference> {
    let text: String =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    text.split("\n\n")
        .map(|block| block.trim_matches('\n'))
        .filter(|block| !block.is_empty())
        .map(parse_block)
        .collect()
}

fn parse_block(block: &str) -> Difference {
    let mut lines = block.lines();
    let mut field = |key: &str| {
        let line = lines.next().unwrap_or_default();
        line.strip_prefix(key)
            .unwrap_or_else(|| panic!("{line:?} should begin with {key:?} in\n{block}"))
            .to_owned()
    };
    let (call, contract, until) = (field("call: "), field("contract: "), field("etcd until "));
    assert!(contract.contains(".md "), "{contract:?} names no row of the contract");
    let rest: Vec<String> = lines.map(str::to_owned).collect();
    let middle =
        rest.iter().position(|line| line == "quorate:").unwrap_or_else(|| panic!("no quorate: in\n{block}"));
    Difference {
        call,
        contract,
        until: Version::parse(until.trim_end_matches(':'))
            .unwrap_or_else(|| panic!("a version, not {until:?}")),
        etcd: Answer(rest[..middle].to_vec()),
        wanted: Answer(rest[middle + 1..].to_vec()),
    }
}

#[test]
fn a_block_is_read_as_it_is_written() {
    let (etcd, wanted) = (Answer(vec!["  | a".into(), "exit 0".into()]), Answer(vec!["exit 1".into()]));
    let version = Version { major: 3, minor: 4 };
    let text = Difference::render("get a", "semantics.md section 2, x", version, &etcd, &wanted);
    let listed = parse(&format!("# comment\n\n{text}\n\n{text}"));
    assert_eq!(listed.len(), 2);
    assert_eq!((&listed[1].etcd, &listed[1].wanted), (&etcd, &wanted));
    assert_eq!((listed[0].call.as_str(), listed[0].until), ("get a", version));
}
