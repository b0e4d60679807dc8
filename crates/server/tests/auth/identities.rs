//! Every method of the descriptors, called by eight kinds of callers.

use proto::etcdserverpb as pb;
use testkit::Server;
use tonic::{Code, Status};

use crate::call::call;
use crate::methods::{LEASE, May, requests};
use crate::program;
use crate::world::{CHEAP, Client, put};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Forger,
    Deleted,
    Nothing,
    Reader,
    Writer,
    Both,
    Root,
}

use Who::{Both, Deleted, Forger, Nobody, Nothing, Reader, Root, Writer};

/// What a refused caller is told.
type Refusal = (Code, &'static str);

const NO_USER: Refusal = (Code::InvalidArgument, "etcdserver: user name is empty");
const NO_TOKEN: Refusal = (Code::Unauthenticated, "etcdserver: invalid auth token");
const DENIED: Refusal = (Code::PermissionDenied, "etcdserver: permission denied");
const OLD: Refusal = (Code::InvalidArgument, "etcdserver: revision of auth store is old");

/// What somebody is told who may not; `None` if it may.
fn expected(may: May, who: Who) -> Option<Refusal> {
    let is_allowed = match may {
        May::Everybody => return None,
        May::AnyUser => true,
        May::Root => who == Root,
        May::Reader => matches!(who, Reader | Both | Root),
        May::Writer => matches!(who, Writer | Both | Root),
        May::Both | May::Itself => matches!(who, Both | Root),
    };
    match who {
        Nobody => Some(NO_USER),
        Forger | Deleted => Some(NO_TOKEN),
        _ if is_allowed => None,
        _ => Some(DENIED),
    }
}

/// A status with the code that its text has everywhere but in the services of locks and elections: there it is `Unknown`.
fn with_its_code(status: Status) -> Status {
    let refusals = [NO_USER, NO_TOKEN, DENIED, OLD];
    let known = refusals.iter().find(|known| status.code() == Code::Unknown && status.message() == known.1);
    known.map_or(status, |(code, text)| Status::new(*code, *text))
}

fn is_refusal(status: &Status, (code, text): Refusal) -> bool {
    status.code() == code && status.message() == text
}

/// Whether the result is the one that is expected. Who is let through may still fail for another
/// reason.
fn fits(result: &Result<bytes::Bytes, Status>, expected: Option<Refusal>) -> bool {
    match (result, expected) {
        (Ok(_), expected) => expected.is_none(),
        (Err(status), Some(refusal)) => is_refusal(status, refusal),
        (Err(status), None) => {
            ![NO_USER, NO_TOKEN, DENIED, OLD].iter().any(|known| is_refusal(status, *known))
        }
    }
}

/// Every method as the descriptors have it.
fn methods() -> Vec<(&'static str, &'static str)> {
    let rows = include_str!("../../../../proto/contract.tsv").lines();
    let described = rows.filter_map(|line| {
        let mut words = line.split('\t');
        let is_method = words.next() == Some("rpc");
        words.next().zip(words.next()).filter(|_| is_method)
    });
    let health = ["Check", "List"].map(|method| ("grpc.health.v1.Health", method));
    described.chain(health).collect()
}

async fn callers(nobody: &Client, root: &Client) -> Vec<(Who, Client)> {
    root.add_user("deleted").await.expect("a user is added");
    let deleted = nobody.login("deleted").await.expect("the user logs in");
    root.delete_user("deleted").await.expect("the user is deleted");
    let mut callers =
        vec![(Nobody, nobody.clone()), (Forger, nobody.with_token("abcdefghijklmnop.7")), (Deleted, deleted)];
    for (who, name) in [(Nothing, "nothing"), (Reader, "reader"), (Writer, "writer"), (Both, "both")] {
        callers.push((who, nobody.login(name).await.expect("a user logs in")));
    }
    callers.push((Root, root.clone()));
    callers
}

/// Makes the lease and its key as they were: somebody may have revoked it.
async fn restore(root: &Client) {
    let grant = pb::LeaseGrantRequest { ttl: 600, id: LEASE };
    let _: Result<pb::LeaseGrantResponse, Status> = root.call("Lease/LeaseGrant", &grant).await;
    let request = pb::PutRequest { lease: LEASE, ..put("kl", "leased") };
    let _: pb::PutResponse = root.call("KV/Put", &request).await.expect("a key with a lease");
}

#[tokio::test]
async fn every_method_lets_in_whom_it_should_and_tells_others_why_not() {
    let program = program();
    let server = Server::start(&program, &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let callers = callers(&nobody, &root).await;
    let (mut calls, mut wrong) = (0, Vec::new());
    for (service, method) in methods() {
        for (variant, message, may) in requests(service, method) {
            for (who, client) in &callers {
                restore(&root).await;
                let path = format!("/{service}/{method}");
                let result = call(&client.channel, &path, message.clone(), client.token.as_deref()).await;
                let result = result.map_err(with_its_code);
                let fits = match may {
                    // Everybody's, and yet a token that is none is refused: etcd looks at it first.
                    May::Everybody if method == "AuthStatus" && matches!(who, Forger | Deleted) => {
                        fits(&result, Some(NO_TOKEN))
                    }
                    may => fits(&result, expected(may, *who)),
                };
                calls += 1;
                if !fits {
                    wrong.push(format!("{who:?} {service}/{method} {variant}: {result:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {calls} calls:\n{}", wrong.len(), wrong.join("\n"));
    // Last, as it is the end of permissions.
    for (who, client) in &callers {
        let result = client.call("Auth/AuthDisable", &pb::AuthDisableRequest {}).await;
        let result = result.map(|_: pb::AuthDisableResponse| bytes::Bytes::new());
        assert!(fits(&result, expected(May::Root, *who)), "{who:?}: {result:?}");
    }
    assert!(nobody.get("k").await.is_ok());
    assert!(calls >= 8 * 60, "only {calls} calls");
}
