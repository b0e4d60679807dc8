//! Scripts that show what the core does, as specification and as tutorial: `tests/scripts/*.txt`.
//!
//! A line that begins with `> ` is a command; what follows up to the next empty line is what it shows. All else is
//! prose. `QUORATE_UPDATE_SCRIPTS=1` writes what is shown now into the files; look at the difference before
//! committing it. All invariants are checked after every event, as everywhere.
//!
//! | command | what happens |
//! |---|---|
//! | `cluster 1 2 3 [learners 4] [spare 5] [small]` | nodes are started; spare ones are not members; `small` limits |
//! | `campaign 1`, `resign 1`, `tick 1 [times]`, `transfer 1 2` | as named |
//! | `propose 1 word`, `change 1 add 4 learner 5 remove 2`, `read 1 [times]` | at a node |
//! | `disk 1 [pieces]` | the node's disk finishes its work: all, or so many pieces |
//! | `deliver`, `drop`, `repeat` `[1->2] [Name]` | messages that wait are let through, lost, or let through and kept |
//! | `quiet [1 2]` | disks work and messages flow (of these nodes, among each other), until nothing waits |
//! | `given 1 terms 1 1 4 [now 7]` | the node's disk held entries of these terms all along; it is restarted |
//! | `crash 1`, `restart 1 [tail]`, `compact 1 [keep]` | stop; start; checkpoint |
//! | `wipe 1`, `forget 1` | lose the disk; throw log and state away, but not the vote |
//! | `status [1]`, `log 1`, `state 1`, `messages` | show |

use std::fmt::Write as _;
use std::path::Path;

use crate::network::member::Written;
use crate::network::{Network, show, small_limits};
use raft::{Membership, MembershipChange, Node, NodeId, Term};

struct Script {
    network: Option<Network>,
    out: String,
    roles: Vec<String>,
}

/// The words of a command after its name.
struct Words<'a>(Vec<&'a str>);

impl Words<'_> {
    fn node(&self, place: usize) -> NodeId {
        NodeId(self.number(place).expect("a node's number"))
    }

    fn number(&self, place: usize) -> Option<u64> {
        self.0.get(place).and_then(|word| word.parse().ok())
    }

    /// The numbers after a word, up to the next word that is none.
    fn after(&self, word: &str) -> Vec<NodeId> {
        let start = match word {
            "" => 0,
            word => self.0.iter().position(|found| *found == word).map_or(self.0.len(), |place| place + 1),
        };
        let numbers = self.0[start..].iter().map_while(|word| word.parse().ok());
        numbers.map(NodeId).collect()
    }

    fn matches(&self, message: &raft::Message) -> bool {
        let route = format!("{}->{}", message.from.0, message.to.0);
        let from = format!("{}->", message.from.0);
        let to = format!("->{}", message.to.0);
        self.0.iter().all(|word| {
            if word.contains("->") {
                *word == route || *word == from || *word == to
            } else {
                *word == message.body.name()
            }
        })
    }
}

impl Script {
    fn network(&mut self) -> &mut Network {
        self.network.as_mut().expect("a cluster")
    }

    fn say(&mut self, line: impl AsRef<str>) {
        writeln!(self.out, "{}", line.as_ref()).expect("memory");
    }

    fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let words = Words(words.collect());
        match name {
            "cluster" => self.cluster(&words),
            "propose" | "change" | "read" | "transfer" => self.ask(name, &words),
            "deliver" | "drop" | "repeat" => self.mail(name, &words),
            "status" | "log" | "state" | "messages" => self.show(name, &words),
            "quiet" => {
                let among = words.after("");
                self.network().quiet_among(|node| among.is_empty() || among.contains(&node));
            }
            "given" => self.given(&words),
            "disk" => self.disk(&words),
            _ => self.happen(name, &words),
        }
        self.report();
    }

    fn cluster(&mut self, words: &Words<'_>) {
        let (voters, learners, spare) = (words.after(""), words.after("learners"), words.after("spare"));
        let membership = Membership::new(voters.iter().copied(), learners.iter().copied());
        let ids: Vec<NodeId> = voters.into_iter().chain(learners).chain(spare).collect();
        let limits = if words.0.contains(&"small") { small_limits() } else { raft::Limits::default() };
        self.network = Some(Network::new(&ids, &membership, 1, &limits));
        self.roles = self.now();
    }

    /// Entries of these terms are in the node's log since before the script began.
    fn given(&mut self, words: &Words<'_>) {
        let id = words.node(0);
        let terms: Vec<Term> = words.after("terms").iter().map(|number| Term(number.0)).collect();
        let now = words.after("now").first().map(|number| Term(number.0));
        self.network().given(id, &terms, now);
    }

    fn happen(&mut self, name: &str, words: &Words<'_>) {
        let id = words.node(0);
        let network = self.network();
        match name {
            "campaign" => drop(network.at(id, Node::campaign)),
            "resign" => drop(network.at(id, Node::resign)),
            "tick" => {
                for _ in 0..words.number(1).unwrap_or(1) {
                    network.at(id, Node::tick);
                }
            }
            "crash" => network.crash(id, Written::Nothing),
            "restart" => network.restart(id, words.number(1).unwrap_or(1000) as usize),
            "wipe" => network.wipe(id),
            "forget" => network.forget(id),
            "compact" => {
                network.member(id).compact(words.number(1).unwrap_or(0));
                network.settle(id);
            }
            other => panic!("unknown command {other}"),
        }
    }

    fn ask(&mut self, name: &str, words: &Words<'_>) {
        let id = words.node(0);
        let network = self.network();
        let answer = match name {
            "propose" => {
                let command = bytes::Bytes::from(words.0[1].to_owned());
                let taken = network.at(id, |node| node.propose(command)).expect("a running node");
                taken.map_or_else(|error| error.to_string(), |entry| entry.to_string())
            }
            "change" => {
                let pairs = words.0[1..].chunks(2);
                let changes: Vec<MembershipChange> = pairs.map(change).collect();
                let taken = network.at(id, |node| node.propose_change(&changes, bytes::Bytes::new()));
                let taken = taken.expect("a running node");
                taken.map_or_else(|error| error.to_string(), |entry| entry.to_string())
            }
            "read" => {
                let taken = (0..words.number(1).unwrap_or(1)).map(|_| network.take_read(id));
                let lines: Vec<String> = taken
                    .map(|taken| match taken.expect("a running node") {
                        Ok(token) => format!("{token} waits"),
                        Err(error) => error.to_string(),
                    })
                    .collect();
                network.settle(id);
                lines.join(", ")
            }
            _ => {
                let to = words.node(1);
                let taken = network.at(id, |node| node.transfer(to)).expect("a running node");
                taken.map_or_else(|error| error.to_string(), |()| "under way".to_owned())
            }
        };
        self.say(answer);
    }

    fn disk(&mut self, words: &Words<'_>) {
        let id = words.node(0);
        let pieces = words.number(1).unwrap_or(u64::MAX);
        let network = self.network();
        (0..pieces).take_while(|_| network.work(id)).for_each(drop);
    }

    /// Acts on the messages that wait now, not on those that result.
    fn mail(&mut self, name: &str, words: &Words<'_>) {
        let waiting = std::mem::take(&mut self.network().pool);
        let (chosen, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|packet| words.matches(&packet.message));
        let network = self.network();
        network.pool = others;
        let mut lines = Vec::new();
        for packet in chosen {
            lines.push(show::message(&packet.message));
            network.pool.push(packet);
            let last = network.pool.len() - 1;
            match name {
                "deliver" => drop(network.deliver(last, false)),
                "repeat" => drop(network.deliver(last, true)),
                _ => drop(network.lose(last)),
            }
        }
        lines.iter().for_each(|line| self.say(line));
    }

    fn show(&mut self, name: &str, words: &Words<'_>) {
        let all: Vec<NodeId> = self.network().members.keys().copied().collect();
        let ids = if words.0.is_empty() { all } else { vec![words.node(0)] };
        let network = self.network();
        let mut lines = Vec::new();
        let list = |entries: &[raft::Entry]| entries.iter().map(show::entry).collect::<Vec<_>>().join(" ");
        for id in ids {
            let member = &network.members[&id];
            match name {
                "status" => lines.push(member.node.as_ref().map_or(format!("{id} is down"), show::status)),
                "log" => lines.push(format!(
                    "{id} after {}: {}",
                    member.store.snapshot.last,
                    list(&member.store.entries)
                )),
                "state" => lines.push(format!("{id}: {}", list(&member.state))),
                _ => {}
            }
        }
        if name == "messages" {
            lines = network.pool.iter().map(|packet| show::message(&packet.message)).collect();
        }
        lines.iter().for_each(|line| self.say(line));
    }

    fn now(&mut self) -> Vec<String> {
        let members = self.network().members.values();
        members.map(|member| member.node.as_ref().map_or(String::new(), show::role)).collect()
    }

    /// What changed: roles, and reads that ended.
    fn report(&mut self) {
        let now = self.now();
        let before = std::mem::replace(&mut self.roles, now.clone());
        for (role, _) in now.iter().zip(before).filter(|(now, before)| *now != before && !now.is_empty()) {
            self.say(format!("* {role}"));
        }
        let answered = std::mem::take(&mut self.network().answered);
        for (node, token, index) in answered {
            self.say(format!("* {token} at {node}: may be answered at {index}"));
        }
        let abandoned = std::mem::take(&mut self.network().abandoned);
        for (node, token) in abandoned {
            self.say(format!("* {token} at {node}: given up"));
        }
    }
}

fn change(pair: &[&str]) -> MembershipChange {
    let node = NodeId(pair[1].parse().expect("a node's number"));
    match pair[0] {
        "add" => MembershipChange::AddVoter(node),
        "learner" => MembershipChange::AddLearner(node),
        "remove" => MembershipChange::Remove(node),
        other => panic!("unknown change {other}"),
    }
}

/// The script with what its commands show now.
fn play(text: &str) -> String {
    let mut script = Script { network: None, out: String::new(), roles: Vec::new() };
    let mut is_output = false;
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            script.say(line);
            script.run(command);
            is_output = true;
        } else {
            is_output &= !line.is_empty();
            if !is_output {
                script.say(line);
            }
        }
    }
    script.out
}

/// A test's own option; not an input of consensus.
#[allow(clippy::disallowed_methods, reason = "a test's own option")]
fn updates() -> bool {
    std::env::var("QUORATE_UPDATE_SCRIPTS").is_ok()
}

#[test]
fn every_script_shows_what_it_says() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> =
        std::fs::read_dir(&dir).expect("the scripts").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        println!("{}", path.display());
        let text = std::fs::read_to_string(&path).expect("a script");
        let played = play(&text);
        if updates() {
            std::fs::write(&path, played).expect("written");
        } else {
            let differs = played.lines().zip(text.lines()).find(|(now, then)| now != then);
            let same = played == text;
            assert!(same, "{}: {differs:#?}: look, and update if it is right", path.display());
        }
    }
}
