//! Stores: a directory, and one that speaks S3 and fails in every way that it can.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use archive::store::put;
use archive::{Address, Event, S3Options, Stop, StoreError, Wanted, overview};
use testkit::s3::{ACCESS_KEY, BUCKET, Fault, S3, SECRET_KEY};

use crate::support::{Run, START, World, directory, extracted, open, settings};

/// A bucket and the credentials for it.
pub(crate) fn s3_address(s3: &S3, dir: &Path) -> (Address, S3Options) {
    let file = dir.join("credentials");
    let text = format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n");
    std::fs::write(&file, text).unwrap();
    let options = S3Options {
        endpoint: Some(s3.endpoint()),
        region: Some("test-1".to_owned()),
        credentials_file: Some(file),
        ca_file: None,
    };
    (Address::S3 { bucket: BUCKET.to_owned(), prefix: "a/b".to_owned() }, options)
}

/// A store in a bucket that nobody has to wait for.
fn s3_store(s3: &S3, dir: &Path) -> Box<dyn archive::Store + Send> {
    let (address, options) = s3_address(s3, dir);
    address.open(&options, Stop::never()).unwrap()
}

fn read(store: &dyn archive::Store, name: &str) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let mut source = store.read("d", name)?;
    source.read_to_end(&mut bytes).map_err(|error| error.downcast::<StoreError>().unwrap())?;
    Ok(bytes)
}

/// What every store does.
fn behaves(store: &dyn archive::Store) {
    assert_eq!(store.list("d").unwrap(), []);
    assert!(matches!(read(store, "x"), Err(StoreError::NotFound(_))));
    for number in 0..10 {
        put(store, "d", &format!("o{number}"), &vec![number; usize::from(number) * 1_000]).unwrap();
    }
    put(store, "e", "other", b"1").unwrap();
    assert_eq!(read(store, "o9").unwrap(), vec![9; 9_000]);
    let mut listed = store.list("d").unwrap();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let shown: Vec<(&str, u64)> = listed.iter().map(|object| (&*object.name, object.bytes)).collect();
    assert_eq!((shown.len(), shown[3], shown[9]), (10, ("o3", 3_000), ("o9", 9_000)));
    let mut directories = store.directories().unwrap();
    directories.sort();
    assert_eq!(directories, ["d", "e"]);
    store.delete("d", "o3").unwrap();
    store.delete("d", "o3").unwrap();
    assert_eq!(store.list("d").unwrap().len(), 9);
    // Long, and never finished.
    let mut upload = store.begin("d", "half", 40 << 20).unwrap();
    upload.write(&vec![1; 20 << 20]).unwrap();
    drop(upload);
    assert_eq!(store.list("d").unwrap().len(), 9);
    // Long, and finished.
    let mut upload = store.begin("d", "long", 20 << 20).unwrap();
    let block: Vec<u8> = (0..1_000_003_u32).map(|byte| byte as u8).collect();
    (0..20).for_each(|_| upload.write(&block).unwrap());
    upload.finish().unwrap();
    assert!(read(store, "long").unwrap() == block.repeat(20));
}

#[test]
fn a_directory_behaves_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("made/for/it");
    let store = open(&directory(&path));
    behaves(&*store);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path.join("d")), mode(&path.join("d/long"))), (0o700, 0o600));
    let left: Vec<_> = std::fs::read_dir(path.join("d")).unwrap().collect();
    assert_eq!(left.len(), 10, "no temporary file");
}

#[test]
fn a_bucket_behaves() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    behaves(&*s3_store(&s3, place.path()));
    assert_eq!(s3.unfinished(), 0, "the upload that was not finished was called off");
    let is_part = |line: &&String| line.starts_with("PUT /backups/a/b/d/long");
    assert_eq!(s3.requests().iter().filter(is_part).count(), 3, "{:?}", s3.requests());
    assert!(s3.objects().keys().all(|key| key.starts_with("a/b/")));
}

#[test]
fn what_a_killed_writer_left_in_a_directory_is_swept_away_when_it_is_old() {
    let place = tempfile::tempdir().unwrap();
    let store = open(&directory(place.path()));
    put(&*store, "d", "object", b"1").unwrap();
    let left = place.path().join("d/.tmp-00000000-object");
    std::fs::File::create(&left).unwrap().write_all(b"half").unwrap();
    store.sweep("d", Duration::from_secs(3_600)).unwrap();
    assert!(left.exists() && store.list("d").unwrap().len() == 1);
    store.sweep("d", Duration::ZERO).unwrap();
    assert!(!left.exists() && store.list("d").unwrap().len() == 1);
}

#[test]
fn wrong_credentials_are_said_and_no_secret_is() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    let (address, options) = s3_address(&s3, place.path());
    let file = options.credentials_file.clone().unwrap();
    std::fs::write(&file, "[default]\naws_access_key_id=other\naws_secret_access_key=verysecret\n").unwrap();
    let store = address.open(&options, Stop::never()).unwrap();
    let error = store.list("d").unwrap_err().to_string();
    assert!(error.ends_with("the store answered 403 AccessDenied"), "{error}");
    assert!(!error.contains("verysecret") && !error.contains("Signature"), "{error}");
    std::fs::remove_file(&file).unwrap();
    assert!(store.list("d").unwrap_err().to_string().starts_with("read "));
}

#[test]
fn a_store_that_fails_now_and_then_is_asked_again() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    let store = s3_store(&s3, place.path());
    for fault in [Fault::Status(500), Fault::Cut] {
        s3.fail(fault, "PUT ", 1);
        put(&*store, "d", "object", &[7; 100_000]).unwrap();
        assert_eq!(read(&*store, "object").unwrap(), [7; 100_000]);
    }
    s3.fail(Fault::Status(403), "PUT ", 1);
    assert!(put(&*store, "d", "object", b"x").is_err(), "that will not change");
}

#[test]
fn an_answer_that_ends_too_early_is_an_error() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    let store = s3_store(&s3, place.path());
    put(&*store, "d", "object", &[7; 100_000]).unwrap();
    s3.fail(Fault::Cut, "GET ", 1);
    assert!(matches!(read(&*store, "object"), Err(StoreError::Connection { .. })));
}

#[test]
fn a_store_that_never_answers_is_left_when_the_member_stops() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    let (address, options) = s3_address(&s3, place.path());
    let (send, stop) = Stop::new();
    let store = address.open(&options, stop).unwrap();
    s3.fail(Fault::Silence, "GET ", 1);
    let asking = std::thread::spawn(move || store.list("d").map(drop));
    testkit::wait::until("the request", || (!s3.requests().is_empty()).then_some(()));
    send.send(true).unwrap();
    assert!(matches!(asking.join().unwrap(), Err(StoreError::Stopped)));
}

/// Whatever fails, wherever: the next attempts make it good, and nothing wrong is ever taken for
/// right.
#[test]
fn backups_to_a_store_with_faults_are_right_in_the_end() {
    let (place, s3) = (tempfile::tempdir().unwrap(), S3::start());
    let (address, options) = s3_address(&s3, place.path());
    let world = World::new();
    world.borrow_mut().put("a", "1");
    let mut run = Run::with(&world, &address, &options, settings(), START);
    let faults = [Fault::Status(400), Fault::Cut, Fault::Corrupt];
    let patterns = ["GET /backups/?", ".db?", ".json?", "GET /backups/a/b", "PUT /backups/a/b"];
    for fault in faults {
        for pattern in patterns {
            s3.fail(fault, pattern, 1);
            world.borrow_mut().put("a", pattern);
            run.seconds(130);
            let newest = world.borrow().revision();
            let (_, extracted) = extracted(&*s3_store(&s3, place.path()), Wanted::Newest).unwrap();
            assert_eq!(extracted.revision, newest, "{fault:?} of {pattern}");
        }
    }
    let failed = |event: &Event| matches!(event, Event::Failed { .. });
    assert!(run.count(failed) >= 5, "{:?}", run.events);
    let store = s3_store(&s3, place.path());
    let overview = overview(&*store, None).unwrap();
    assert!(archive::survey(&*store, &overview, |_| {}).unwrap().findings.iter().all(|finding| {
        // Its manifest was not written, for it was not what it should be.
        finding.what.contains("manifest")
    }));
}
