//! What must not be readable anywhere.

use std::path::Path;

use proto::etcdserverpb as pb;
use testkit::Server;

use crate::program;
use crate::world::{CHEAP, Client};

const PASSWORDS: [&str; 4] =
    ["pass-of-the-added", "pass-that-is-wrong", "pass-of-the-change", "pass-of-nobody"];

/// Returns the files below a directory that hold one of the texts.
fn holders(directory: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holders(&path, texts));
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let content = String::from_utf8_lossy(&bytes);
        found.extend(
            texts
                .iter()
                .filter(|text| content.contains(**text))
                .map(|text| format!("{text} in {}", path.display())),
        );
    }
    found
}

/// Neither in the log, nor on the disk; whoever may read those must not be the user thereby.
#[tokio::test]
async fn cve_2021_28235_a_password_is_nowhere_readable() {
    let mut server = Server::start(&program(), &[CHEAP, "--log-level=debug"]);
    let nobody = Client::of(&server);
    let root = nobody.found().await;
    let [added, wrong, changed, absent] = PASSWORDS;
    let request =
        pb::AuthUserAddRequest { name: "u".to_owned(), password: added.to_owned(), ..Default::default() };
    let _: pb::AuthUserAddResponse = root.call("Auth/UserAdd", &request).await.unwrap();
    let refused: Result<pb::AuthUserAddResponse, _> = root.call("Auth/UserAdd", &request).await;
    let user = nobody.login_with("u", added).await.unwrap();
    let refusals = [
        nobody.login_with("u", wrong).await.unwrap_err(),
        nobody.login_with("absent", absent).await.unwrap_err(),
        refused.unwrap_err(),
    ];
    let request = pb::AuthUserChangePasswordRequest {
        name: "u".to_owned(),
        password: changed.to_owned(),
        ..Default::default()
    };
    let _: pb::AuthUserChangePasswordResponse = root.call("Auth/UserChangePassword", &request).await.unwrap();
    assert!(nobody.login_with("u", changed).await.is_ok());
    let refused = user.with_token(&format!("{}x", user.token.as_ref().unwrap())).get("k").await.unwrap_err();
    server.terminate();

    let log = server.log();
    let hash = "$2a$04$";
    for secret in PASSWORDS.into_iter().chain([hash]) {
        assert!(!log.contains(secret), "{secret} is in the log");
        let said = refusals.iter().chain([&refused]).any(|status| format!("{status:?}").contains(secret));
        assert!(!said, "{secret} is in an error");
    }
    assert_eq!(holders(server.data_dir(), &PASSWORDS), [""; 0]);
    // The search finds what is there.
    assert_ne!(holders(server.data_dir(), &["both"]), [""; 0]);
    for token in [&root.token, &user.token] {
        assert!(!log.contains(token.as_ref().unwrap().as_str()), "a token is in the log");
    }
}
