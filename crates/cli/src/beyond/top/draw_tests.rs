//! Frames of terminals of several widths.

use std::time::Duration;

use super::super::{HotPrefix, plain};
use super::*;

fn member(name: &str, role: Role) -> MemberRow {
    let rates = Rates {
        puts: 1234.4,
        ranges: 5.25,
        txns: 0.0,
        deletes: 0.0,
        requests: 1300.0,
        watchers: Some(12.0),
        pending: Some(0.0),
        fsync: Some(Duration::from_millis(4)),
    };
    let down = role == Role::Down;
    MemberRow {
        name: name.into(),
        role,
        version: "3.7.1".into(),
        lag: (!down).then_some(3),
        db_size: (!down).then_some(25_000_000),
        db_quota: (!down).then_some(2_000_000_000),
        rates: (!down).then_some(rates),
    }
}

fn view() -> View {
    View {
        cluster_id: 0xcdf8_181c,
        revision: 42,
        raft_term: 3,
        keys: Some(1000),
        members: vec![member("n1", Role::Leader), member("n2", Role::Follower), member("n3", Role::Down)],
        alarms: vec!["NOSPACE at n2".into()],
        hot: vec![HotPrefix {
            prefix: b"/registry/leases/".to_vec(),
            rate: 12.5,
            events: 100,
            bytes_rate: 4200.0,
        }],
        hot_note: None,
    }
}

#[test]
fn a_wide_terminal_has_all_columns() {
    let lines = plain(&view(), 132);
    assert_eq!(
        lines,
        [
            "cluster cdf8181c  term 3  revision 42  1,000 keys  ALARM NOSPACE at n2",
            "",
            "MEMBER           ROLE         LAG      DB QUOTA   PUT/s   GET/s   TXN/s   DEL/s   ALL/s WATCHES PENDING  FSYNC",
            "n1               leader         3   25 MB   1 %   1,234     5.2       0       0   1,300      12       0  4.0ms",
            "n2               follower       3   25 MB   1 %   1,234     5.2       0       0   1,300      12       0  4.0ms",
            "n3               DOWN           -       -     -       -       -       -       -       -       -       -      -",
            "",
            "EVENTS/s    BYTES/s  HOT PREFIX",
            "      13     4.2 kB  /registry/leases/",
        ]
    );
}

#[test]
fn a_terminal_of_80_columns_has_the_most_important_ones() {
    let lines = plain(&view(), 80);
    assert_eq!(lines[2], "MEMBER           ROLE         LAG      DB   PUT/s   GET/s   TXN/s   ALL/s");
}

#[test]
fn no_size_panics() {
    for columns in 0..50 {
        plain(&view(), columns);
    }
    assert_eq!(
        plain(&view(), 20)[2..6],
        ["MEMBER     ROLE", "n1         leader", "n2         follower", "n3         DOWN"]
    );
    plain(&View::default(), 20);
}

#[test]
fn a_reason_takes_the_place_of_hot_prefixes() {
    let view = View { hot_note: Some("hot prefixes: permission denied".into()), ..view() };
    assert_eq!(plain(&view, 80).last().map(String::as_str), Some("hot prefixes: permission denied"));
}
