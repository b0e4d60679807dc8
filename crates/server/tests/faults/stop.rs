//! SIGTERM and a full disk.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use proto::etcdserverpb as pb;
use proto::etcdserverpb::kv_client::KvClient;
use proto::etcdserverpb::maintenance_client::MaintenanceClient;
use testkit::{Server, http, require};
use tonic::Code;
use tonic::transport::Channel;

use crate::{connect, everything, put, runtime, subject};

/// server.md section 1, "clean stop".
const SIGTERM: i32 = 15;

#[test]
fn told_to_stop_it_finishes_what_it_has_begun() {
    let program = require!("faults::stop", subject());
    runtime().block_on(async {
        let mut server = Server::start(&program, &[]);
        let acknowledged: Arc<Mutex<Vec<String>>> = Arc::default();
        let started = Arc::new(tokio::sync::Notify::new());
        let mut writers = Vec::new();
        for writer in 0..16 {
            let mut kv = KvClient::new(connect(&server).await);
            let (acknowledged, started) = (acknowledged.clone(), started.clone());
            writers.push(tokio::spawn(async move {
                for number in 0.. {
                    let key = format!("{writer}/{number}");
                    match put(&mut kv, &key, "x").await {
                        Ok(_) => acknowledged.lock().expect("no panic").push(key),
                        // A stopping server refuses or closes; it does not leave the call hanging or answer nonsense.
                        Err(status) => return status.code(),
                    }
                    started.notify_one();
                }
                unreachable!("ends with the server")
            }));
        }
        started.notified().await;
        server.signal_terminate();
        for writer in writers {
            let code = writer.await.expect("no writer panics");
            assert!([Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&code), "{code:?}");
        }
        let status = server.wait();
        assert_eq!(
            status.signal(),
            Some(SIGTERM),
            "ends by raising the signal again: {status}\n{}",
            server.log_tail()
        );
        server.restart();
        let now = everything(&KvClient::new(connect(&server).await)).await;
        for key in acknowledged.lock().expect("no panic").iter() {
            assert!(now.iter().any(|(there, ..)| there == key), "{key} was acknowledged and is gone");
        }
    });
}

/// A small file system that goes with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `Err` says why there can be none.
    fn mount(megabytes: u32) -> Result<SmallDisk, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(SmallDisk(directory)),
            Ok(output) => {
                Err(format!("cannot mount a tmpfs: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(error) => Err(format!("cannot run mount: {error}")),
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

#[test]
fn on_a_full_disk_writes_are_refused_and_reads_go_on() {
    let program = require!("faults::full_disk", subject());
    if !program.is_quorate() {
        return testkit::skip::excuse("faults::full_disk", "etcd panics on a full disk");
    }
    // Even CI may not be allowed to mount.
    let disk = match SmallDisk::mount(1024) {
        Ok(disk) => disk,
        Err(why) => return testkit::skip::excuse("faults::full_disk", &why),
    };
    runtime().block_on(async {
        let mut server = Server::start_at(&program, &[], &disk.path().join("data"));
        let mut kv = KvClient::new(connect(&server).await);
        put(&mut kv, "before", "the disk is full").await.expect("a put on a disk with room");
        let ballast = disk.path().join("ballast");
        fill(&ballast);
        let mut acknowledged = Vec::new();
        let refusal = loop {
            let (key, value) = (format!("{}", acknowledged.len()), "x".repeat(500_000));
            match put(&mut kv, &key, &value).await {
                Ok(_) => acknowledged.push(key),
                Err(status) => break status,
            }
            assert!(acknowledged.len() < 10_000, "the disk is full and everything is acknowledged");
        };
        assert_eq!(refusal.code(), Code::ResourceExhausted, "{refusal}\n{}", server.log_tail());
        assert_eq!(refusal.message(), "etcdserver: mvcc: database space exceeded");
        assert!(everything(&kv).await.iter().any(|(key, ..)| key == "before"), "reads go on");
        assert_eq!(http::get(&server.client_address(), "/metrics").status, 200);

        std::fs::remove_file(&ballast).expect("the ballast goes");
        resume(&server).await;
        server.kill();
        server.restart();
        let now = everything(&KvClient::new(connect(&server).await)).await;
        for key in acknowledged.iter().map(String::as_str).chain(["before", "after"]) {
            assert!(now.iter().any(|(there, ..)| there == key), "{key} was acknowledged and is gone");
        }
    });
}

/// Takes all the room there is.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(ballast).expect("a file on the small disk");
    for block in [1 << 20, 1 << 12] {
        let zeros = vec![0; block];
        while file.write_all(&zeros).is_ok() {}
    }
}

/// Disarms the alarm, as an operator does (semantics.md section 9, "clearing"), until a put is taken again.
async fn resume(server: &Server) {
    let channel: Channel = connect(server).await;
    let (mut kv, mut maintenance) = (KvClient::new(channel.clone()), MaintenanceClient::new(channel));
    let deadline = tokio::time::Instant::now() + testkit::wait::DEADLINE;
    loop {
        let get = pb::AlarmRequest::default();
        let alarms =
            maintenance.alarm(get).await.map(|alarms| alarms.into_inner().alarms).unwrap_or_default();
        for alarm in alarms {
            let disarm = pb::AlarmRequest { action: 2, member_id: alarm.member_id, alarm: alarm.alarm };
            let _ = maintenance.alarm(disarm).await;
        }
        match put(&mut kv, "after", "there is room again").await {
            Ok(_) => return,
            Err(status) if tokio::time::Instant::now() > deadline => {
                panic!("no write is taken with room again: {status}")
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}
