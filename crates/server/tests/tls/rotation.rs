//! Every certificate and every CA of a cluster is replaced under load, and no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls::ClientConfig;
use testkit::pki::{Authority, Request};
use testkit::wait;
use tokio::task::JoinHandle;

use crate::Kit;
use crate::client::{config, put, read};
use crate::cluster::{prepare, start};

/// Clients that make a new connection for each request.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    workers: Vec<JoinHandle<Result<(), String>>>,
}

impl Load {
    /// Two clients for each address; `client` is how they connect at the moment.
    fn start(addresses: &[String], client: &Arc<parking_lot::Mutex<Arc<ClientConfig>>>) -> Load {
        let (stop, done): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let twice = addresses.iter().chain(addresses).cloned().enumerate();
        let workers = twice.map(|(number, address)| {
            let (stop, done, client) = (stop.clone(), done.clone(), client.clone());
            tokio::spawn(async move {
                let key = format!("k{number}");
                while !stop.load(Ordering::Relaxed) {
                    let config = client.lock().clone();
                    put(&address, &config, &key).await.map_err(|status| format!("put: {status:?}"))?;
                    let found =
                        read(&address, &config, &key).await.map_err(|status| format!("get: {status:?}"))?;
                    if found.as_deref() != Some("v") {
                        return Err(format!("{key} is lost"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        let workers = workers.collect();
        Load { stop, done, workers }
    }

    /// Waits until so many more rounds are done, or one has failed.
    async fn go_on(&self, rounds: u64) {
        let target = self.done.load(Ordering::Relaxed) + rounds;
        while self.done.load(Ordering::Relaxed) < target
            && self.workers.iter().all(|worker| !worker.is_finished())
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            assert_eq!(worker.await.expect("no panic"), Ok(()));
        }
    }
}

/// Requests between two steps.
const ROUNDS: u64 = 30;

#[tokio::test]
async fn every_certificate_and_ca_of_three_members_is_replaced_and_no_request_fails() {
    let kit = Kit::new();
    let flags = [kit.client_flags(), kit.peer_flags()].concat();
    let mut members = prepare(&[flags.clone(), flags.clone(), flags]);
    start(&mut members);
    let addresses: Vec<String> = members.iter().map(|member| member.address.clone()).collect();
    let (next, next_peer) = (Authority::new("next CA"), Authority::new("next peer CA"));
    let client = Arc::new(parking_lot::Mutex::new(config(&kit.ca.pem(), Some(&kit.client("alice")))));
    let load = Load::start(&addresses, &client);
    load.go_on(ROUNDS).await;
    // New certificates of the same CAs, key and certificate one after the other.
    kit.ca.issue(&Request::named("server")).write(kit.path(), "server");
    kit.peer_ca.issue(&Request::named("peer")).write(kit.path(), "peer");
    load.go_on(ROUNDS).await;
    // Everybody learns the new CAs beside the old ones.
    let (both, both_peer) = (kit.ca.pem() + &next.pem(), kit.peer_ca.pem() + &next_peer.pem());
    kit.write("ca.crt", &both);
    kit.write("peer-ca.crt", &both_peer);
    *client.lock() = config(&both, Some(&kit.client("alice")));
    load.go_on(ROUNDS).await;
    // Certificates of the new CAs.
    next.issue(&Request::named("server")).write(kit.path(), "server");
    next_peer.issue(&Request::named("peer")).write(kit.path(), "peer");
    *client.lock() = config(&both, Some(&next.issue(&Request::named("alice"))));
    load.go_on(ROUNDS).await;
    // The old CAs are forgotten.
    kit.write("ca.crt", next.pem());
    kit.write("peer-ca.crt", next_peer.pem());
    *client.lock() = config(&next.pem(), Some(&next.issue(&Request::named("alice"))));
    load.go_on(ROUNDS).await;
    load.end().await;
    put(&addresses[0], &config(&next.pem(), Some(&kit.client("alice"))), "k")
        .await
        .expect_err("of the old CA");
    // The members' connections among each other stood all the time. New ones are made with what is in the files now.
    for member in &mut members {
        member.server.kill();
        member.server.restart();
        let address = &member.address;
        let alice = config(&next.pem(), Some(&next.issue(&Request::named("alice"))));
        assert_eq!(
            read(address, &alice, "k0").await.expect("a read that a quorum confirms").as_deref(),
            Some("v")
        );
    }
    wait::until("a line about the files that were read again", || {
        let log = members[0].server.log();
        log.contains("TLS file has changed, and was read again").then_some(())
    });
}
