//! A way to a member that can be cut, silenced, or made to swallow answers.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Pass,
    /// Nothing comes through any more in either direction, and nobody is told.
    Silent,
    /// Requests come through, answers do not.
    SwallowAnswers,
    /// Connections end, and new ones too.
    Cut,
}

/// A proxy on loopback. It ends with what it is dropped by.
#[derive(Debug)]
pub(crate) struct Proxy {
    endpoint: String,
    mode: Arc<watch::Sender<Mode>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy of a member.
    pub(crate) async fn to(member: String) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = listener.local_addr().expect("an address").to_string();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let modes = mode.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, member.clone(), modes.subscribe()));
            }
        });
        Proxy { endpoint, mode, task }
    }

    pub(crate) fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: TcpStream, member: String, mut modes: watch::Receiver<Mode>) {
    let Ok(member) = TcpStream::connect(member).await else { return };
    let _ = (client.set_nodelay(true), member.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_member, to_member) = member.into_split();
    let passes_requests = |mode| matches!(mode, Mode::Pass | Mode::SwallowAnswers);
    let passes_answers = |mode| mode == Mode::Pass;
    let requests = tokio::spawn(copy(from_client, to_member, modes.clone(), passes_requests));
    let answers = tokio::spawn(copy(from_member, to_client, modes.clone(), passes_answers));
    let ends = [requests.abort_handle(), answers.abort_handle()];
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
        _ = modes.wait_for(|mode| *mode == Mode::Cut) => {}
    }
    ends.iter().for_each(tokio::task::AbortHandle::abort);
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    passes: impl Fn(Mode) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if *modes.borrow() == Mode::SwallowAnswers && !passes(Mode::SwallowAnswers) {
            continue;
        }
        if modes.wait_for(|mode| passes(*mode)).await.is_err() || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
