//! The scripts: what `calls.txt`, `cluster.txt` and `auth.txt` say, as steps.

/// One step of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Remember the store's current revision under a name.
    Revision(String),
    /// Do something to the servers, or wait for something they do: a verb, and the member that is meant.
    Act(String),
    /// Run etcdctl.
    Call(Call),
}

/// One call of etcdctl, before its variables are filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The line of the script without a repetition mark: how the call is named in messages and in `differences.txt`.
    pub(crate) text: String,
    /// How many calls of the same text came before it.
    pub(crate) repetition: usize,
    /// The variable that the lease's or member's id in its output goes to.
    pub(crate) capture: Option<String>,
    /// Repeat it until it succeeds: what it waits for is announced nowhere.
    pub(crate) until: bool,
    /// The members whose endpoints it is given, by name; the first member's if there are none.
    pub(crate) at: Vec<String>,
    /// Whose certificate it shows, where members have TLS; that of nobody in particular if this is `None`.
    pub(crate) who: Option<String>,
    /// Stop it after so many lines of standard output; `None`: it ends by itself.
    pub(crate) lines: Option<usize>,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its standard input.
    pub(crate) input: String,
}

impl Call {
    /// The name under which `differences.txt` lists it: the text, and `#2`, `#3` for its repetitions.
    pub(crate) fn name(&self) -> String {
        match self.repetition {
            0 => self.text.clone(),
            earlier => format!("{} #{}", self.text, earlier + 1),
        }
    }
}

/// Reads a whole script.
///
/// # Panics
/// On a line it does not understand.
pub(crate) fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() || line.starts_with('#') || line.starts_with("== ") {
            continue;
        }
        if let Some(name) = line.strip_prefix("revision ") {
            steps.push(Step::Revision(name.trim().to_owned()));
            continue;
        }
        if let Some(action) = line.strip_prefix("! ") {
            steps.push(Step::Act(action.trim().to_owned()));
            continue;
        }
        let mut call = parse_call(line);
        call.repetition =
            steps.iter().filter(|step| matches!(step, Step::Call(c) if c.text == call.text)).count();
        steps.push(Step::Call(call));
    }
    steps
}

fn parse_call(line: &str) -> Call {
    let text = line.trim().to_owned();
    let mut rest = text.as_str();
    let mut capture = None;
    if let Some((name, after)) = rest.strip_prefix('$').and_then(|line| line.split_once(" = ")) {
        capture = Some(name.to_owned());
        rest = after;
    }
    let (until, after) = match rest.strip_prefix("until ") {
        Some(after) => (true, after),
        None => (false, rest),
    };
    rest = after;
    let mut at = Vec::new();
    if let Some((names, after)) = rest.strip_prefix('@').and_then(|line| line.split_once(' ')) {
        at = names.split(',').map(str::to_owned).collect();
        rest = after;
    }
    let mut who = None;
    if let Some((name, after)) = rest.strip_prefix("as ").and_then(|line| line.split_once(' ')) {
        who = Some(name.to_owned());
        rest = after;
    }
    let mut lines = None;
    if let Some((count, after)) = rest.strip_prefix('[').and_then(|line| line.split_once(" lines] ")) {
        lines = Some(count.parse().unwrap_or_else(|_| panic!("a number of lines in {line:?}")));
        rest = after;
    }
    let (arguments, input) = match rest.split_once("<<<") {
        Some((arguments, input)) => (arguments, parse_input(input.trim_start())),
        None => (rest, String::new()),
    };
    let arguments = parse_words(arguments);
    Call { repetition: 0, capture, until, at, who, lines, arguments, input, text: text.clone() }
}

/// Shell words: blanks separate, single and double quotes keep together, nothing is expanded.
fn parse_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for letter in text.chars() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    assert_eq!(quote, None, "an open quote in {text:?}");
    words.extend(word);
    words
}

/// `{x*1000}` repeats, `|` is a newline; blanks around a newline go.
fn parse_input(text: &str) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (pattern, after) =
            after.split_once('}').unwrap_or_else(|| panic!("no closing brace in {text:?}"));
        expanded.push_str(before);
        match pattern.rsplit_once('*') {
            Some((text, times)) => expanded.push_str(&text.repeat(times.parse().expect("a count after `*`"))),
            // A variable: `${R+1}`.
            None => expanded.push_str(&format!("{{{pattern}}}")),
        }
        rest = after;
    }
    expanded.push_str(rest);
    expanded.split('|').map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_line_becomes_a_call() {
    let steps = parse("# nothing\n\nrevision R\n$L = lease grant 5\nput 'a b' ''\n[3 lines] watch x\n");
    let Step::Call(grant) = &steps[1] else { panic!("{steps:?}") };
    assert_eq!(
        (grant.capture.as_deref(), grant.arguments.join(" ")),
        (Some("L"), "lease grant 5".to_owned())
    );
    let Step::Call(put) = &steps[2] else { panic!("{steps:?}") };
    assert_eq!(put.arguments, ["put", "a b", ""]);
    let Step::Call(watch) = &steps[3] else { panic!("{steps:?}") };
    assert_eq!((watch.lines, watch.arguments.len()), (Some(3), 2));
}

#[test]
fn a_line_says_whom_it_asks_and_what_it_waits_for() {
    let steps = parse("! kill m1\n$N = until @m0,m2 member add n\n@m1 as alice [1 lines] get a");
    assert_eq!(steps[0], Step::Act("kill m1".to_owned()));
    let Step::Call(add) = &steps[1] else { panic!("{steps:?}") };
    assert_eq!((add.until, add.at.join(" "), add.arguments.len()), (true, "m0 m2".to_owned(), 3));
    assert_eq!(add.capture.as_deref(), Some("N"));
    let Step::Call(get) = &steps[2] else { panic!("{steps:?}") };
    assert_eq!((get.until, get.at.as_slice()), (false, ["m1".to_owned()].as_slice()));
    assert_eq!((get.who.as_deref(), get.lines), (Some("alice"), Some(1)));
}

#[test]
fn standard_input_is_spelled_on_the_line() {
    let steps = parse("txn <<< val(\"a\") = \"1\" | | put b {x*3} | | |\nput <<< {a|*2}\nput <<< {a|*2}");
    let calls: Vec<&Call> =
        steps.iter().map(|step| if let Step::Call(call) = step { call } else { panic!() }).collect();
    assert_eq!(calls[0].input, "val(\"a\") = \"1\"\n\nput b xxx\n\n\n");
    assert_eq!(calls[1].input, "a\na\n");
    assert_eq!(calls[2].name(), "put <<< {a|*2} #2");
}
