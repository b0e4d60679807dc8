//! `backup` and `snapshot restore` on an archive that a member has written.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Server, http, require, wait};

use crate::subject::{fill, program};
use crate::tool::{Ended, run};

/// An archive, the directory of the member that has written it, and its newest revision.
struct Written {
    server: Server,
    place: TempDir,
    revision: i64,
}

impl Written {
    fn new(program: &testkit::Program) -> Self {
        let place = tempfile::tempdir().unwrap();
        let to = format!("--backup-to=file://{}", place.path().display());
        let mut server = Server::start(program, &[&to, "--backup-piece-interval=1s"]);
        // So that the rest is in pieces.
        wait::until("a full backup", || {
            run(&["backup", "list", text(place.path())]).stdout.contains("full-").then_some(())
        });
        fill(&server);
        let metrics = http::get(&server.client_address(), "/metrics").body;
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_current_revision "));
        let revision = line.unwrap().parse::<f64>().unwrap() as i64;
        wait::until("all of it in the archive", || {
            let restorable = &listed(place.path())["restorable"];
            (restorable[0]["to"].as_i64() == Some(revision)).then_some(())
        });
        server.terminate();
        Self { server, place, revision }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn object(&self, part: &str) -> PathBuf {
        let cluster = self.path().read_dir().unwrap().next().unwrap().unwrap().path();
        let paths = cluster.read_dir().unwrap().map(|entry| entry.unwrap().path());
        paths.into_iter().find(|path| text(path).contains(part)).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn listed(place: &Path) -> Value {
    serde_json::from_str(&run(&["backup", "list", "-w=json", text(place)]).stdout).unwrap_or_default()
}

fn hash(path: &Path) -> String {
    let ended = run(&["hashkv", text(path)]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    ended.stdout
}

fn restore(archive: &Path, data: &Path, arguments: &[&str]) -> Ended {
    run(&[&["snapshot", "restore", "--data-dir", text(data), text(archive)], arguments].concat())
}

#[test]
fn what_a_member_wrote_is_listed_verified_extracted_and_restored() {
    const TEST: &str = "quorateutl on an archive";
    let written = Written::new(&require!(TEST, program()));
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("file.db"));
    let list = run(&["backup", "list", text(written.path())]);
    let last = format!("restorable: revisions 1 to {}\n", written.revision);
    assert!(list.code == 0 && list.stdout.ends_with(&last), "{list:?}");
    let verified = run(&["backup", "verify", text(written.path())]);
    assert!(verified.code == 0 && verified.stdout.contains("\nok: "), "{verified:?}");
    let ended = restore(written.path(), &data, &[]);
    assert_eq!((ended.code, &*ended.stdout), (0, ""), "{ended:?}");
    assert!(ended.stderr.contains("\tread the archive\t{"), "{ended:?}");
    assert_eq!(hash(&data), hash(written.server.data_dir()));
    let extract = ["backup", "extract", text(written.path()), "--revision=10", "-o", text(&file)];
    let ended = run(&extract);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(hash(&file).contains(", 10, "), "{}", hash(&file));
    let again = run(&extract);
    assert!(again.code == 1 && again.stderr.ends_with("File exists (os error 17)\n"), "{again:?}");
    let ended = restore(written.path(), &dir.path().join("other"), &["--revision=10"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(hash(&dir.path().join("other")), hash(&file));
    // Before it began, and after it ended.
    let before = restore(written.path(), &dir.path().join("no"), &["--time=2020-01-01T00:00:00Z"]);
    assert!(before.stderr.contains("is before the oldest full backup, which is of revision 1"), "{before:?}");
    let after = restore(written.path(), &dir.path().join("new"), &["--time=2099-01-01T00:00:00+02:00"]);
    assert_eq!(after.code, 0, "{after:?}");
    assert_eq!(hash(&dir.path().join("new")), hash(&data));
}

#[test]
fn damage_is_named_and_nothing_is_left_of_a_restore() {
    const TEST: &str = "quorateutl on a damaged archive";
    let written = Written::new(&require!(TEST, program()));
    let piece = written.object("piece-");
    let mut bytes = std::fs::read(&piece).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&piece, bytes).unwrap();
    let name = piece.file_name().unwrap().to_str().unwrap();
    let verified = run(&["backup", "verify", text(written.path())]);
    assert_eq!(verified.code, 1);
    assert!(verified.stdout.contains(&format!("damage: {name}: at byte ")), "{verified:?}");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ended = restore(written.path(), &data, &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains(&format!("Error: {name} is damaged: at byte ")), "{ended:?}");
    assert!(ended.stderr.contains("the newest revision that can be restored without it is "), "{ended:?}");
    assert!(!data.exists());
}

#[test]
fn what_is_no_archive_or_no_moment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, file) = (dir.path().join("empty"), dir.path().join("file"));
    std::fs::create_dir(&empty).unwrap();
    std::fs::write(&file, "x").unwrap();
    let (empty, file, data) = (text(&empty), text(&file), dir.path().join("data"));
    let none = format!("there is no archive in {empty}");
    let revision = "--revision and --time are of an archive, which is a directory or s3://bucket/prefix";
    let cases: [(&[&str], i32, &str); 7] = [
        (&["backup", "list", empty], 1, &none),
        (&["snapshot", "restore", empty, "--data-dir", text(&data)], 1, &none),
        (&["snapshot", "restore", file, "--revision=5"], 128, revision),
        (&["snapshot", "restore", file, "--time=2020-01-01T00:00:00Z"], 128, revision),
        (&["snapshot", "restore", empty, "--time=yesterday"], 128, "--time: \"yesterday\" is no time, like "),
        (&["backup", "list", "ftp://x"], 1, "\"ftp://x\" is no place for backups"),
        (&["backup", "list", empty, "--cluster=xyz"], 128, "--cluster: \"xyz\" is no id in hexadecimal"),
    ];
    for (arguments, code, said) in cases {
        let ended = run(arguments);
        assert!(ended.stderr.contains(&format!("Error: {said}")), "{arguments:?}: {ended:?}");
        assert_eq!(ended.code, code, "{arguments:?}");
    }
    let shown = run(&["backup", "extract", "--help"]).stdout;
    assert!(shown.contains("--revision") && shown.contains("--s3-endpoint"), "{shown}");
}
