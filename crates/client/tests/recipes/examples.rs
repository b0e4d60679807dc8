//! The examples work.

use crate::setup::lone;

#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/bulk_load.rs"]
mod bulk_load;
#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/cache.rs"]
mod cache;
#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/config_watch.rs"]
mod config_watch;
#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/leader_election.rs"]
mod leader_election;
#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/lock_fencing.rs"]
mod lock_fencing;
#[allow(dead_code, reason = "its own `main`")]
#[path = "../../examples/service_registry.rs"]
mod service_registry;

#[tokio::test]
async fn a_configuration_is_followed() {
    let (server, _client) = lone!();
    let config = config_watch::run(&server.client_address()).await.expect("the example runs");
    assert_eq!(config.into_iter().collect::<Vec<_>>(), [("config/color".to_owned(), "green".to_owned())]);
}

#[tokio::test]
async fn a_leader_is_elected() {
    let (server, _client) = lone!();
    let leaders = leader_election::run(&server.client_address()).await.expect("the example runs");
    assert_eq!(leaders, ["ann", "bob"]);
}

#[tokio::test]
async fn a_late_writer_is_fenced_off() {
    let (server, _client) = lone!();
    let store = lock_fencing::run(&server.client_address()).await.expect("the example runs");
    assert_eq!(store.lines, ["by the first", "by the second"]);
}

#[tokio::test]
async fn services_are_found() {
    let (server, _client) = lone!();
    let seen = service_registry::run(&server.client_address()).await.expect("the example runs");
    assert_eq!(seen, ["10.0.0.1:80", "10.0.0.1:80 10.0.0.2:80", "10.0.0.2:80"]);
}

#[tokio::test]
async fn prices_are_cached() {
    let (server, _client) = lone!();
    let prices = cache::run(&server.client_address()).await.expect("the example runs");
    assert_eq!(prices, ["3", "4"]);
}

#[tokio::test]
async fn many_keys_are_loaded() {
    let (server, _client) = lone!();
    assert_eq!(bulk_load::run(&server.client_address(), 2_345).await.expect("the example runs"), 2_345);
}
