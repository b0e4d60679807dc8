//! The endpoints of the gateway, and which of them the next connection goes to: one of the best priority among those that are
//! not set aside, by weight where there are weights (RFC 2782), else in turn.

use super::super::discovery::Listed;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    pub(super) host: String,
    pub(super) port: u16,
    /// Those of the lowest number are used as long as one of them is there.
    pub(super) priority: u16,
    /// Its part of the connections; 0: hardly any, beside those that have one.
    pub(super) weight: u16,
}

impl Remote {
    /// Returns what is dialed.
    pub(super) fn address(&self) -> String {
        let Remote { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl From<Listed> for Remote {
    fn from(listed: Listed) -> Remote {
        let Listed { host, port, priority, weight, .. } = listed;
        Remote { host, port, priority, weight }
    }
}

/// The place of an endpoint in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(usize);

/// All endpoints.
#[derive(Debug)]
pub(super) struct Remotes {
    remotes: Vec<Remote>,
    is_set_aside: Vec<bool>,
    turn: usize,
}

/// Of a hundred connections, how many go to those without a weight where others have one.
const UNWEIGHTED_PERCENT: usize = 1;

impl Remotes {
    pub(super) fn new(remotes: Vec<Remote>) -> Remotes {
        Remotes { is_set_aside: vec![false; remotes.len()], remotes, turn: 0 }
    }

    /// Returns the endpoint of the next connection; `None` if all are set aside. `draw` returns a random number below its
    /// argument.
    pub(super) fn pick(&mut self, mut draw: impl FnMut(usize) -> usize) -> Option<(Place, Remote)> {
        let active = || (0..self.remotes.len()).filter(|place| !self.is_set_aside[*place]);
        let best = active().map(|place| self.remotes[place].priority).min()?;
        let of_best = active().filter(|place| self.remotes[*place].priority == best);
        let (weighted, unweighted): (Vec<usize>, Vec<usize>) =
            of_best.partition(|place| self.remotes[*place].weight > 0);
        let is_in_turn = weighted.is_empty() || (!unweighted.is_empty() && draw(100) < UNWEIGHTED_PERCENT);
        let place = if is_in_turn {
            self.turn = self.turn.wrapping_add(1);
            unweighted[self.turn % unweighted.len()]
        } else {
            let all: usize = weighted.iter().map(|place| usize::from(self.remotes[*place].weight)).sum();
            let mut left = draw(all);
            let is_chosen = |place: &&usize| {
                let weight = usize::from(self.remotes[**place].weight);
                let is_chosen = left < weight;
                left = left.saturating_sub(weight);
                is_chosen
            };
            *weighted.iter().find(is_chosen)?
        };
        Some((Place(place), self.remotes[place].clone()))
    }

    /// Sets an endpoint aside that cannot be connected.
    pub(super) fn set_aside(&mut self, Place(place): Place) {
        self.is_set_aside[place] = true;
    }

    /// Takes an endpoint back.
    pub(super) fn take_back(&mut self, Place(place): Place) {
        self.is_set_aside[place] = false;
    }

    /// Returns the endpoints that are set aside.
    pub(super) fn set_aside_now(&self) -> Vec<(Place, Remote)> {
        let set_aside = (0..self.remotes.len()).filter(|place| self.is_set_aside[*place]);
        set_aside.map(|place| (Place(place), self.remotes[place].clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remotes(rows: &[(u16, u16, u16)]) -> Remotes {
        let remote = |(port, priority, weight): &(u16, u16, u16)| Remote {
            host: "h".to_owned(),
            port: *port,
            priority: *priority,
            weight: *weight,
        };
        Remotes::new(rows.iter().map(remote).collect())
    }

    fn ports(remotes: &mut Remotes, count: usize) -> Vec<u16> {
        let mut ports: Vec<u16> =
            (0..count).map(|_| remotes.pick(|_| 0).map_or(0, |(_, remote)| remote.port)).collect();
        ports.sort_unstable();
        ports
    }

    #[test]
    fn without_weights_endpoints_take_turns() {
        let mut three = remotes(&[(1, 0, 0), (2, 0, 0), (3, 0, 0)]);
        assert_eq!(ports(&mut three, 6), [1, 1, 2, 2, 3, 3]);
        three.set_aside(Place(1));
        assert_eq!(ports(&mut three, 4), [1, 1, 3, 3]);
        assert_eq!(three.set_aside_now().len(), 1);
        three.take_back(Place(1));
        assert_eq!(ports(&mut three, 3), [1, 2, 3]);
    }

    #[test]
    fn a_worse_priority_has_its_turn_when_the_better_ones_are_set_aside() {
        let mut two = remotes(&[(1, 20, 0), (2, 10, 0)]);
        assert_eq!(ports(&mut two, 3), [2, 2, 2]);
        two.set_aside(Place(1));
        assert_eq!(ports(&mut two, 3), [1, 1, 1]);
        two.set_aside(Place(0));
        assert_eq!(ports(&mut two, 1), [0]);
    }

    #[test]
    fn weights_are_parts_and_none_is_next_to_none() {
        let mut three = remotes(&[(1, 0, 30), (2, 0, 70), (3, 0, 0)]);
        // The first draw is whether one without a weight has its turn.
        let mut drawn = |first: usize, second: usize| {
            let mut draws = [first, second].into_iter();
            three.pick(|below| draws.next().expect("two draws").min(below - 1)).map(|(_, remote)| remote.port)
        };
        assert_eq!(drawn(0, 0), Some(3));
        assert_eq!([drawn(1, 0), drawn(1, 29), drawn(1, 30), drawn(1, 99)], [1, 1, 2, 2].map(Some));
    }
}
