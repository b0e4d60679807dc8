//! What lies between the members: a proxy in front of each one's peer port, which can hold back everything that one member
//! says and hears, and let it through later, in order. Nothing is lost: it waits, as in the sockets of a machine that stands
//! still.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use testkit::{Cluster, Program, Server};

/// The header by which a member introduces itself when it dials another one.
const FROM: &str = "x-server-from: ";

/// Connections are not given up while they are held.
const PATIENT: &[&str] = &["--raft-read-timeout=120s", "--raft-write-timeout=120s"];

/// The proxies of a cluster.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The member whose connections are held.
    held: Option<u64>,
    /// Ids of the members by the address of their proxy.
    ids: BTreeMap<SocketAddr, u64>,
    /// Bytes that were let through to a member, by sender and receiver, since [`Network::count`].
    passed: BTreeMap<(u64, u64), usize>,
}

impl Network {
    /// Founds a cluster whose members reach each other through proxies.
    pub(crate) fn found(program: &Program, size: usize, extra: &[&str]) -> (Cluster, Network) {
        let network = Network::default();
        let mut addresses = Vec::new();
        let mut members: Vec<Server> = Vec::new();
        for index in 0..size {
            let mut member = Server::prepare(program, &format!("m{index}"), &[]);
            let address = network.proxy(member.peer_address().parse().expect("an address"));
            let advertised = format!("--initial-advertise-peer-urls=http://{address}");
            member.set_extra(&[extra, PATIENT, &[&advertised]].concat());
            addresses.push(address);
            members.push(member);
        }
        let entry = |(member, address): (&Server, &SocketAddr)| format!("{}=http://{address}", member.name());
        let entries: Vec<String> = members.iter().zip(&addresses).map(entry).collect();
        for member in &mut members {
            member.set_cluster(&entries.join(","));
            member.spawn().unwrap_or_else(|why| panic!("{why}"));
        }
        for member in &mut members {
            member.await_serving().unwrap_or_else(|why| panic!("{why}"));
        }
        (Cluster::of(members), network)
    }

    /// Says which member is behind the address that others dial.
    pub(crate) fn name(&self, advertised: &str, id: u64) {
        let address = advertised.trim_start_matches("http://").parse().expect("an address");
        self.0.state.lock().expect("no panic").ids.insert(address, id);
    }

    /// From now on nothing goes to this member, or comes from it.
    pub(crate) fn hold(&self, id: u64) {
        self.0.state.lock().expect("no panic").held = Some(id);
    }

    /// Everything that was held goes on its way.
    pub(crate) fn release(&self) {
        let mut state = self.0.state.lock().expect("no panic");
        state.held = None;
        state.passed.clear();
        self.0.changed.notify_all();
    }

    /// Returns how many bytes went from one member to another since the last release.
    pub(crate) fn passed(&self, from: u64, to: u64) -> usize {
        self.0.state.lock().expect("no panic").passed.get(&(from, to)).copied().unwrap_or(0)
    }

    /// Starts a proxy, which ends with the test's process, and returns where it listens.
    fn proxy(&self, target: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let network = self.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(target) else { continue };
                network.connect(address, near, far);
            }
        });
        address
    }

    fn connect(&self, proxy: SocketAddr, near: TcpStream, far: TcpStream) {
        let dialer = Arc::<OnceLock<u64>>::default();
        let ends = [(&near, &far), (&far, &near)]
            .map(|(from, to)| (from.try_clone().expect("a socket"), to.try_clone().expect("a socket")));
        for (is_forward, (from, to)) in [true, false].into_iter().zip(ends) {
            let pump = Pump { network: self.clone(), proxy, dialer: dialer.clone(), is_forward };
            std::thread::spawn(move || pump.run(from, to));
        }
    }
}

/// One direction of a connection.
struct Pump {
    network: Network,
    proxy: SocketAddr,
    dialer: Arc<OnceLock<u64>>,
    /// From the one that dialed to the one that accepted.
    is_forward: bool,
}

impl Pump {
    fn run(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if self.is_forward {
                self.identify(&buffer[..read]);
            }
            self.wait();
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
            self.count(read);
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    /// Finds out who dials, from the first bytes that it says.
    fn identify(&self, bytes: &[u8]) {
        if self.dialer.get().is_some() {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let value = text.split(FROM).nth(1).and_then(|rest| rest.split("\r\n").next());
        if let Some(id) = value.and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            let _ = self.dialer.set(id);
        }
    }

    fn ends(&self, state: &State) -> (u64, u64) {
        let (dialer, owner) =
            (self.dialer.get().copied().unwrap_or(0), state.ids.get(&self.proxy).copied().unwrap_or(0));
        if self.is_forward { (dialer, owner) } else { (owner, dialer) }
    }

    /// Waits as long as this connection is held.
    fn wait(&self) {
        let state = self.network.0.state.lock().expect("no panic");
        let is_held = |state: &mut State| {
            let (from, to) = self.ends(state);
            state.held.is_some_and(|held| held == from || held == to)
        };
        drop(self.network.0.changed.wait_while(state, is_held).expect("no panic"));
    }

    fn count(&self, bytes: usize) {
        let mut state = self.network.0.state.lock().expect("no panic");
        let ends = self.ends(&state);
        *state.passed.entry(ends).or_default() += bytes;
    }
}
