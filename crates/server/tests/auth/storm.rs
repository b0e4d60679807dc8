//! Many logins at once, and everybody else.

use proto::etcdserverpb as pb;
use testkit::{Server, wait};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::program;
use crate::world::{CHEAP, Client};

/// Hashing a password at this cost takes days.
const ENDLESS: &str = "--bcrypt-cost=31";

/// More than may wait.
const LOGINS: usize = 400;

/// What who may not wait is answered.
const BUSY: &str = "etcdserver: too many requests";

/// Returns how the login of a user who does not exist ends. It takes as long as hashing a password.
fn login(client: &Client) -> JoinHandle<Result<Client, Status>> {
    let client = client.clone();
    tokio::spawn(async move { client.login("absent").await })
}

/// Puts, reads, and changes of users that need no hash.
async fn others(root: &Client, both: &Client) {
    for number in 0..100 {
        both.put(&format!("k{number}"), "v").await.expect("a put");
        assert_eq!(both.get(&format!("k{number}")).await.expect("a read"), ["v"]);
    }
    root.delete_user("nothing").await.expect("a user is deleted");
    let denied = both.put("z", "v").await.expect_err("a put that is not permitted");
    assert_eq!(denied.code(), Code::PermissionDenied);
    let status: pb::StatusResponse =
        root.call("Maintenance/Status", &pb::StatusRequest {}).await.expect("a status");
    assert_eq!(status.errors, Vec::<String>::new());
}

/// Who comes when as many wait as may is refused at once, unless what they ask for needs no hash.
async fn latecomers(root: &Client, nobody: &Client) {
    let refusal = nobody.login("absent").await.expect_err("one more");
    assert_eq!(refusal.message(), BUSY);
    assert_eq!(root.add_user("more").await.expect_err("a hash").message(), BUSY);
    // Who may not manage users has nothing hashed.
    let refusal = nobody.add_user("more").await.expect_err("without a user");
    assert_eq!(refusal.message(), "etcdserver: user name is empty");
}

/// All threads that hash passwords are held by hashes that do not end, and as many logins wait as may: nobody else waits.
#[tokio::test]
async fn logins_that_never_end_hold_up_nobody() {
    let mut server = Server::start(&program(), &[CHEAP]);
    Client::of(&server).found().await;
    server.terminate();
    server.set_extra(&[ENDLESS]);
    server.restart();
    let nobody = Client::of(&server);
    // Their passwords were hashed at the low cost.
    let root = nobody.login("root").await.expect("root logs in");
    let both = nobody.login("both").await.expect("a user logs in");

    let mut logins: Vec<_> = (0..LOGINS).map(|_| login(&nobody)).collect();
    // Some are refused as soon as as many wait as may: then all threads are held.
    let refused = async {
        loop {
            if let Some(place) = logins.iter().position(JoinHandle::is_finished) {
                return logins.swap_remove(place).await.expect("no panic").expect_err("it does not log in");
            }
            tokio::task::yield_now().await;
        }
    };
    let refusal = tokio::time::timeout(wait::DEADLINE, refused).await.expect("too many wait");
    assert_eq!((refusal.code(), refusal.message()), (Code::Unknown, BUSY));

    tokio::time::timeout(wait::DEADLINE, others(&root, &both)).await.expect("nobody else waits");

    // The logins still wait, and whoever comes now is refused at once.
    let waiting = logins.iter().filter(|login| !login.is_finished()).count();
    assert!(waiting >= 256, "{waiting} of {LOGINS} wait");
    tokio::time::timeout(wait::DEADLINE, latecomers(&root, &nobody)).await.expect("they do not wait");
    // Hashes that do not end do not keep the member from ending.
    server.terminate();
}
