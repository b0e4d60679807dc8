//! `replace`: puts a new member in the place of another, never below the quorum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Command as Grammar;
use futures_util::future::join_all;
use proto::etcdserverpb::cluster_client::ClusterClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcdserverpb::{
    Member, MemberAddRequest, MemberPromoteRequest, MemberRemoveRequest, MoveLeaderRequest, StatusResponse,
};

use super::{lines, members};
use crate::beyond::replace::{self, Order, Situation, Step};
use crate::beyond::text;
use crate::ctl::commands::{Command, Group};
use crate::ctl::connect::{Session, connect};
use crate::ctl::exit::Failure;
use crate::ctl::flags::{self, Flags as _};
use crate::ctl::{Invocation, print};

/// The command.
pub const COMMAND: Command =
    Command { name: "replace", group: Group::Beyond, grammar, run: |invocation| Box::pin(run(invocation)) };

/// How long the new member may take to start and to catch up, unless `--wait` says otherwise.
const WAIT: Duration = Duration::from_secs(600);

/// How often the cluster is looked at while there is something to wait for.
const INTERVAL: Duration = Duration::from_millis(500);

/// How many refusals in a row for now are the answer.
const REFUSALS_MAX: u32 = 60;

/// What is said when a step may be taken a little later: members have not been connected for five seconds, a learner lacks
/// more, by a count of the server's own, than it may, or leadership is changing hands. Whether a step that got no answer was
/// taken is seen by looking again.
const NOT_YET: [&str; 6] = [
    "unhealthy cluster",
    "in sync with leader",
    "context deadline exceeded",
    "request timed out",
    "no leader",
    "leader changed",
];

fn grammar(grammar: Grammar) -> Grammar {
    grammar
        .about("Replaces a member by a new one, never below the quorum; run again, it goes on where it was")
        .override_usage("<member> --name NAME --peer-urls URLS")
        .arg(flags::text("name", "Name of the new member"))
        .arg(flags::list("peer-urls", "Where the other members will reach the new one"))
        .arg(flags::duration("wait", "How long the new member may take to start and to catch up (default 10m)"))
        .args(flags::positionals(&["member"]))
        .long_about(
            "Replaces a member, named by its id or its name, by a new one: adds it as a learner, says how to start it, waits until it \
             has caught up, promotes it, moves leadership away from the old one, and removes that. No step is taken that would leave \
             fewer voters that answer than a majority needs. Every step follows from how the cluster is, so that the same command goes \
             on where an earlier run ended.",
        )
        .after_help("quoratectl replace n3 --name n4 --peer-urls http://10.0.0.4:2380")
}

async fn run(invocation: Invocation) -> Result<(), Failure> {
    let old = lines::exactly_one(&invocation, "the member to be replaced: its id or its name")?;
    let matches = &invocation.matches;
    let peer_urls = matches.list("peer-urls");
    let (Some(name), false) = (matches.text("name"), peer_urls.is_empty()) else {
        return Err(Failure::arguments("replace needs --name and --peer-urls of the new member"));
    };
    let old = String::from_utf8_lossy(&old).into_owned();
    let order = Order { old, name: name.to_owned(), peer_urls };
    let session = lines::open(&invocation).await?;
    let wait = matches.duration("wait").unwrap_or(WAIT);
    Replacing { session, order, wait, said: None, refusals: 0 }.run().await
}

/// A replacement that is under way.
struct Replacing {
    session: Session,
    order: Order,
    wait: Duration,
    /// What was said last: it is not said again while it is the same.
    said: Option<String>,
    refusals: u32,
}

/// How the cluster is, and what is needed to change it.
struct Look {
    situation: Situation,
    members: Vec<Member>,
    /// Where each member that answers was reached.
    endpoints: BTreeMap<u64, String>,
}

impl Replacing {
    async fn run(mut self) -> Result<(), Failure> {
        let mut waiting = None::<Instant>;
        // If nobody answers now, waiting does not help. Later on, an election may be under way.
        let mut looked = Ok(self.look().await?);
        loop {
            let taken = match looked {
                Ok(look) => match replace::next(&self.order, &look.situation) {
                    Step::Done { new } => return print::write_line(self.closing(new)),
                    step => self.take(step, &look).await?,
                },
                Err(failure) => self.refused(failure)?,
            };
            match taken {
                Taken::Changed => waiting = None,
                Taken::Waits => {
                    let since = *waiting.get_or_insert_with(Instant::now);
                    if since.elapsed() > self.wait {
                        let waited = text::duration(self.wait);
                        return Err(Failure::error(format!(
                            "the new member is not there after {waited}: start it, and run the same command again"
                        )));
                    }
                    tokio::time::sleep(INTERVAL).await;
                }
            }
            looked = self.look().await;
        }
    }

    fn closing(&self, new: u64) -> String {
        let Order { old, name, .. } = &self.order;
        match old == name {
            true => format!(
                "{name} ({new:x}) votes: the process that it replaces may be stopped, and its data directory removed"
            ),
            false => format!(
                "{name} ({new:x}) votes, {old} is no member any more: stop its process, and remove its data directory"
            ),
        }
    }

    /// Looks at the cluster. What follows is asked of the voters that stay: the old member may go at any step.
    async fn look(&mut self) -> Result<Look, Failure> {
        let (members, _) = members::list(&self.session).await?;
        let asked = join_all(members.iter().map(|member| members::first_status(&self.session, member))).await;
        let answers: BTreeMap<u64, (String, StatusResponse)> =
            members.iter().zip(asked).filter_map(|(member, answer)| Some((member.id, answer?))).collect();
        let leader = answers
            .values()
            .map(|(_, status)| status)
            .filter(|status| status.leader != 0)
            .max_by_key(|status| status.raft_term);
        let leader = leader.map(|status| status.leader).unwrap_or_default();
        let new = members
            .iter()
            .find(|member| member.peer_ur_ls.iter().any(|url| self.order.peer_urls.contains(url)));
        let situation = Situation {
            answering: answers.keys().copied().collect(),
            leader,
            leader_index: answers.values().map(|(_, status)| status.raft_index).max().unwrap_or_default(),
            new_index: new.and_then(|new| Some(answers.get(&new.id)?.1.raft_applied_index)),
            members: members.iter().map(as_planned).collect(),
        };
        let endpoints: BTreeMap<u64, String> = answers.into_iter().map(|(id, (url, _))| (id, url)).collect();
        self.turn_to(&members, &endpoints).await?;
        Ok(Look { situation, members, endpoints })
    }

    /// Asks the voters that stay from now on.
    async fn turn_to(
        &mut self,
        members: &[Member],
        endpoints: &BTreeMap<u64, String>,
    ) -> Result<(), Failure> {
        let is_old =
            |member: &Member| member.name == self.order.old || format!("{:x}", member.id) == self.order.old;
        let stays = |member: &&Member| !member.is_learner && !is_old(member);
        let staying: Vec<String> =
            members.iter().filter(stays).filter_map(|member| endpoints.get(&member.id).cloned()).collect();
        if !staying.is_empty() && staying != self.session.client.endpoints() {
            self.session.client = connect(&self.session.globals, staying).await?;
        }
        Ok(())
    }

    async fn take(&mut self, step: Step, look: &Look) -> Result<Taken, Failure> {
        match step {
            Step::Refuse(why) => Err(Failure::error(why)),
            Step::AddLearner => self.add().await,
            Step::AwaitStart { new } => self.say(format!(
                "waiting for {} ({new:x}) to start:\n{}",
                self.order.name,
                self.how_to_start(look)
            )),
            Step::AwaitCatchUp { new, behind } => self.say(format!(
                "{} ({new:x}) catches up: {} entries behind",
                self.order.name,
                text::count(behind)
            )),
            Step::Promote { new } => self.promote(new).await,
            Step::MoveLeader { from, to } => self.move_leader(from, to, look).await,
            Step::Remove { old } => self.remove(old).await,
            Step::Done { .. } => Ok(Taken::Changed),
        }
    }

    /// Says what is waited for.
    fn say(&mut self, text: String) -> Result<Taken, Failure> {
        if self.said.as_ref() != Some(&text) {
            print::write_line(&text)?;
            self.said = Some(text);
        }
        Ok(Taken::Waits)
    }

    /// What the new member's process needs to know.
    fn how_to_start(&self, look: &Look) -> String {
        let Order { name, peer_urls, .. } = &self.order;
        let entries = look.members.iter().flat_map(|member| {
            let is_new = member.peer_ur_ls.iter().any(|url| peer_urls.contains(url));
            let name = if is_new { name } else { &member.name };
            member.peer_ur_ls.iter().map(move |url| format!("{name}={url}"))
        });
        let entries = entries.collect::<Vec<_>>().join(",");
        let urls = peer_urls.join(",");
        format!(
            "  --name={name} --initial-advertise-peer-urls={urls} --listen-peer-urls={urls} --initial-cluster-state=existing \
             --initial-cluster={entries}"
        )
    }

    async fn add(&mut self) -> Result<Taken, Failure> {
        let request = MemberAddRequest { peer_ur_ls: self.order.peer_urls.clone(), is_learner: true };
        let call = |channel| async move { ClusterClient::new(channel).member_add(request).await };
        match self.session.call(call).await {
            Ok(answer) => {
                let id = answer.member.map(|member| member.id).unwrap_or_default();
                self.changed(format!("{} ({id:x}) added as a learner", self.order.name))
            }
            Err(failure) => self.refused(failure),
        }
    }

    /// Says what was done.
    fn changed(&mut self, text: String) -> Result<Taken, Failure> {
        print::write_line(text)?;
        self.refusals = 0;
        Ok(Taken::Changed)
    }

    /// Tries a step again that a server refuses for now.
    fn refused(&mut self, failure: Failure) -> Result<Taken, Failure> {
        let is_for_now =
            failure.text.as_ref().is_some_and(|text| NOT_YET.iter().any(|not_yet| text.contains(not_yet)));
        if !is_for_now || self.refusals == REFUSALS_MAX {
            return Err(failure);
        }
        self.refusals += 1;
        self.say(format!("not yet: {}", failure.text.unwrap_or_default()))
    }

    async fn promote(&mut self, id: u64) -> Result<Taken, Failure> {
        let call = |channel| async move {
            ClusterClient::new(channel).member_promote(MemberPromoteRequest { id }).await
        };
        match self.session.call(call).await {
            Ok(_) => self.changed(format!("{} ({id:x}) promoted: it votes", self.order.name)),
            Err(failure) => self.refused(failure),
        }
    }

    async fn move_leader(&mut self, from: u64, to: u64, look: &Look) -> Result<Taken, Failure> {
        let Some(leader) = look.endpoints.get(&from) else { return Ok(Taken::Waits) };
        let at_leader = members::at(&self.session, leader);
        let request = MoveLeaderRequest { target_id: to };
        let call = |channel| async move { MaintenanceClient::new(channel).move_leader(request).await };
        at_leader.call(call).await?;
        self.changed(format!("leadership moved from {from:x} to {to:x}"))
    }

    async fn remove(&mut self, id: u64) -> Result<Taken, Failure> {
        let call = |channel| async move {
            ClusterClient::new(channel).member_remove(MemberRemoveRequest { id }).await
        };
        match self.session.call(call).await {
            Ok(_) => self.changed(format!("{} ({id:x}) removed", self.order.old)),
            Err(failure) => self.refused(failure),
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// The cluster was changed.
    Changed,
    /// There is something to wait for.
    Waits,
}

fn as_planned(member: &Member) -> replace::Member {
    replace::Member {
        id: member.id,
        name: member.name.clone(),
        peer_urls: member.peer_ur_ls.clone(),
        is_learner: member.is_learner,
    }
}
