//! A client of one endpoint, until the client crate has one.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

#[derive(Clone)]
pub struct Client {
    endpoints: Vec<String>,
    channel: Channel,
}

#[derive(Default)]
pub struct Builder {
    endpoints: Vec<String>,
}

impl Client {
    pub fn builder() -> Builder {
        Builder::default()
    }
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }
    pub fn at(&self, endpoint: &str) -> Result<Client, String> {
        connect(&[endpoint.to_owned()])
    }
}

impl Builder {
    pub fn endpoints(self, endpoints: Vec<String>) -> Builder {
        Builder { endpoints }
    }
    pub fn dial_timeout(self, _: Duration) -> Builder {
        self
    }
    pub async fn connect(self) -> Result<Client, String> {
        connect(&self.endpoints)
    }
}

fn connect(endpoints: &[String]) -> Result<Client, String> {
    let uri = |endpoint: &String| {
        if endpoint.contains("://") { endpoint.clone() } else { format!("http://{endpoint}") }
    };
    let targets: Result<Vec<_>, _> =
        endpoints.iter().map(|endpoint| Endpoint::from_shared(uri(endpoint))).collect();
    let mut targets = targets.map_err(|error| error.to_string())?;
    let channel = if targets.len() == 1 {
        targets.remove(0).connect_lazy()
    } else {
        Channel::balance_list(targets.into_iter())
    };
    Ok(Client { endpoints: endpoints.to_vec(), channel })
}
