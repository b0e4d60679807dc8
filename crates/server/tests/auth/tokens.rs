//! Tokens that are valid, and those that are not any more, or never were.

use proto::etcdserverpb as pb;
use testkit::{Server, wait};
use tonic::{Code, Status};

use crate::program;
use crate::world::{CHEAP, Client};

const ENABLE: pb::AuthEnableRequest = pb::AuthEnableRequest {};

fn is_invalid<T: std::fmt::Debug>(result: &Result<T, Status>) -> bool {
    let text = "etcdserver: invalid auth token";
    matches!(result, Err(status) if status.code() == Code::Unauthenticated && status.message() == text)
}

fn is_old<T: std::fmt::Debug>(result: &Result<T, Status>) -> bool {
    let text = "etcdserver: revision of auth store is old";
    matches!(result, Err(status) if status.code() == Code::InvalidArgument && status.message() == text)
}

#[tokio::test]
async fn whoever_does_not_know_the_password_gets_no_token() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let refusal = nobody.login("root").await.unwrap_err();
    assert_eq!(refusal.message(), "etcdserver: authentication is not enabled");
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    let root = nobody.found().await;
    let wrong = nobody.login_with("both", "other").await.unwrap_err();
    let absent = nobody.login_with("absent", "other").await.unwrap_err();
    for refusal in [wrong, absent] {
        assert_eq!(refusal.code(), Code::InvalidArgument);
        assert_eq!(refusal.message(), "etcdserver: authentication failed, invalid user ID or password");
    }
    let options = Some(proto::authpb::UserAddOptions { no_password: true });
    let request = pb::AuthUserAddRequest { name: "certified".to_owned(), options, ..Default::default() };
    let _: pb::AuthUserAddResponse = root.call("Auth/UserAdd", &request).await.unwrap();
    let refusal = nobody.login_with("certified", "").await.unwrap_err();
    let text = "auth: authentication failed, password was given for no password user";
    assert_eq!((refusal.code(), refusal.message()), (Code::Unknown, text));
    let request =
        pb::AuthUserAddRequest { name: "long".to_owned(), password: "x".repeat(73), ..Default::default() };
    let refused: Result<pb::AuthUserAddResponse, _> = root.call("Auth/UserAdd", &request).await;
    let refusal = refused.unwrap_err();
    let text = "bcrypt: password length exceeds 72 bytes";
    assert_eq!((refusal.code(), refusal.message()), (Code::Unknown, text));
    // What the client says the hash is counts for nothing beside the password.
    let user = pb::AuthUserAddRequest {
        name: "hashed".to_owned(),
        password: "password".to_owned(),
        hashed_password: encoded_hash("another", 4),
        ..Default::default()
    };
    let _: pb::AuthUserAddResponse = root.call("Auth/UserAdd", &user).await.unwrap();
    nobody.login_with("hashed", "password").await.expect("the password");
    let refusal = nobody.login_with("hashed", "another").await.unwrap_err();
    assert_eq!(refusal.message(), "etcdserver: authentication failed, invalid user ID or password");
}

/// What a command has for a password.
fn encoded_hash(password: &str, cost: u32) -> String {
    let hashed = bcrypt::hash(password, cost).expect("a hash");
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hashed)
}

#[tokio::test]
async fn a_token_ends_with_the_password_the_user_and_the_switch() {
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let both = nobody.login("both").await.unwrap();
    both.put("k", "v").await.unwrap();
    // A change of somebody else leaves it valid.
    root.add_user("other").await.unwrap();
    assert_eq!(both.get("k").await.unwrap(), ["v"]);

    let request = pb::AuthUserChangePasswordRequest {
        name: "both".to_owned(),
        password: "new".to_owned(),
        ..Default::default()
    };
    let _: pb::AuthUserChangePasswordResponse = root.call("Auth/UserChangePassword", &request).await.unwrap();
    assert!(is_invalid(&both.get("k").await));
    assert!(nobody.login("both").await.is_err(), "the old password");
    let both = nobody.login_with("both", "new").await.unwrap();
    assert_eq!(both.get("k").await.unwrap(), ["v"]);

    root.delete_user("both").await.unwrap();
    assert!(is_invalid(&both.get("k").await));

    let reader = nobody.login("reader").await.unwrap();
    let _: pb::AuthDisableResponse = root.call("Auth/AuthDisable", &pb::AuthDisableRequest {}).await.unwrap();
    assert!(reader.put("k", "w").await.is_ok(), "nobody looks at tokens while authentication is off");
    let _: pb::AuthEnableResponse = nobody.call("Auth/AuthEnable", &ENABLE).await.unwrap();
    assert!(is_invalid(&reader.get("k").await));
    assert!(is_invalid(&nobody.with_token("").get("k").await));
    assert!(is_invalid(&nobody.with_token(&format!("abcdefghijklmnop.{}", u64::MAX)).get("k").await));
}

#[tokio::test]
async fn a_signed_token_ends_with_its_time_and_with_every_change_of_users() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a shared secret").unwrap();
    let flag =
        |ttl: &str| format!("--auth-token=jwt,sign-method=HS256,priv-key={},ttl={ttl}", secret.display());
    let mut server = Server::start(&program(), &[CHEAP, &flag("10m")]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let both = nobody.login("both").await.unwrap();
    both.put("k", "v").await.unwrap();
    let token = both.token.clone().unwrap();
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, with the signature and without
    let none = "eyJhbGciOiJub25lIn0";
    for forged in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        format!("{head}.{claims}.{}", "A".repeat(43)),
    ] {
        assert!(is_invalid(&nobody.with_token(&forged).get("k").await), "{forged}");
    }
    root.add_user("other").await.unwrap();
    assert!(is_old(&both.get("k").await));
    let both = nobody.login("both").await.unwrap();
    assert_eq!(both.get("k").await.unwrap(), ["v"]);
    root.delete_user("both").await.unwrap();
    assert!(is_old(&both.get("k").await));

    // It needs no memory of the server's.
    let reader = nobody.login("reader").await.unwrap();
    server.terminate();
    server.set_extra(&[CHEAP, &flag("1s")]);
    server.restart();
    let again = Client::of(&server);
    assert_eq!(again.with_token(reader.token.as_ref().unwrap()).get("k").await.unwrap(), ["v"]);
    let short = again.login("reader").await.unwrap();
    let expired = async {
        while !is_invalid(&short.get("k").await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(wait::DEADLINE, expired).await.expect("the token expires");
}

/// A token that this very key has signed, but in a state that the cluster does not have: it was restored from a backup
/// that is older than the token.
#[tokio::test]
async fn a_signed_token_of_a_state_that_is_lost_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "a shared secret").unwrap();
    let flag = format!("--auth-token=jwt,sign-method=HS256,priv-key={}", secret.display());
    let of_later = {
        let server = Server::start(&program(), &[CHEAP, &flag]);
        let root = Client::of(&server).found().await;
        root.add_user("other").await.unwrap();
        Client::of(&server).login("both").await.unwrap().token.unwrap()
    };
    let server = Server::start(&program(), &[CHEAP, &flag]);
    let nobody = Client::of(&server);
    nobody.found().await.put("k", "v").await.unwrap();
    let both = nobody.with_token(&of_later);
    assert!(is_old(&both.get("k").await));
    assert!(is_old(&both.put("k", "w").await));
    let both = nobody.login("both").await.unwrap();
    assert_eq!(both.get("k").await.unwrap(), ["v"]);
}

#[tokio::test]
async fn who_has_the_public_key_alone_checks_tokens_and_gives_out_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let curve = "ec_paramgen_curve:P-521";
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", &path("private")]);
    openssl(&["pkey", "-in", &path("private"), "-pubout", "-out", &path("public")]);
    let private = format!("--auth-token=jwt,sign-method=ES512,priv-key={}", path("private"));
    let mut server = Server::start(&program(), &[CHEAP, &private]);
    let root = Client::of(&server).found().await;
    server.terminate();
    server.set_extra(&[CHEAP, &format!("--auth-token=jwt,sign-method=ES512,pub-key={}", path("public"))]);
    server.restart();
    let nobody = Client::of(&server);
    assert!(nobody.with_token(root.token.as_ref().unwrap()).put("k", "v").await.is_ok());
    let refusal = nobody.login("root").await.unwrap_err();
    let text = "auth: token signing attempted with verify-only key";
    assert_eq!((refusal.code(), refusal.message()), (Code::Unknown, text));
}

/// A password is compared before the log, which takes a while. One that is changed meanwhile opens nothing afterwards.
#[tokio::test]
async fn a_password_that_is_changed_while_it_is_compared_gives_no_token_that_lasts() {
    /// Comparing takes a thousand times as long as changing.
    const SLOW: u32 = 13;
    let server = Server::start(&program(), &[CHEAP]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    // A hash of the client's own, so that the change itself need not wait.
    let change = |password, cost| pb::AuthUserChangePasswordRequest {
        name: "both".to_owned(),
        hashed_password: encoded_hash(password, cost),
        ..Default::default()
    };
    let (slow, new) = (change("old", SLOW), change("new", 4));
    let _: pb::AuthUserChangePasswordResponse = root.call("Auth/UserChangePassword", &slow).await.unwrap();
    let (logins, changed) = tokio::join!(
        futures_util::future::join_all((0..3).map(|_| nobody.login_with("both", "old"))),
        root.call::<_, pb::AuthUserChangePasswordResponse>("Auth/UserChangePassword", &new),
    );
    changed.expect("the password is changed");
    // Whoever was quicker than the change had a token until then.
    for both in logins.into_iter().flatten() {
        assert!(is_invalid(&both.get("k").await), "a token for the old password");
    }
    nobody.login_with("both", "new").await.expect("the new one counts");
}
