//! `v3electionpb.Election`: who has the first key in the line of a name leads, and its value is what the leader says.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use proto::etcdserverpb::{ResponseHeader, TxnRequest, WatchCreateRequest};
use proto::mvccpb::KeyValue;
use proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use tonic::Status;

use super::Api;
use super::recipe::{
    Entered, Events, Place, Waiting, as_a_client_has_it, delete, first_of, is_deletion, made_at, put,
    session_is_expired,
};
use super::router::UntilEnd;
use crate::auth::Caller;
use crate::grpc::reply::Plain;

/// What an observer gets.
type Observed = std::pin::Pin<Box<dyn Stream<Item = Result<Plain<LeaderResponse>, Status>> + Send>>;

fn no_leader_given() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

impl Api {
    /// Waits until the caller leads. A caller who goes meanwhile leaves the line.
    pub(crate) async fn campaign(
        self: &Arc<Self>,
        caller: &Caller,
        request: CampaignRequest,
    ) -> Result<Plain<CampaignResponse>, Status> {
        self.campaign_or_fail(caller, request).await.map(Plain).map_err(as_a_client_has_it)
    }

    async fn campaign_or_fail(
        self: &Arc<Self>,
        caller: &Caller,
        CampaignRequest { name, lease, value }: CampaignRequest,
    ) -> Result<CampaignResponse, Status> {
        let lease = self.lease_for(caller, lease).await?;
        let Entered { place, found, is_first, header } =
            self.enter(caller, &name, lease, value.clone()).await?;
        // Who leads already goes on leading when the call is given up.
        let waiting = (!is_first).then(|| Waiting::at(self, caller, place.clone()));
        if found.is_some_and(|found| found != value) {
            self.proclaim_at(caller, &place, value).await?;
        }
        if !is_first {
            self.reach_front(caller, &name, &place).await?;
            // The lease may have ended while others led (rule L5).
            self.own_key(caller, &place).await?.0.ok_or_else(session_is_expired)?;
        }
        if let Some(waiting) = waiting {
            waiting.keep();
        }
        let Place { key, lease, revision } = place;
        Ok(CampaignResponse { header, leader: Some(LeaderKey { name, key, rev: revision, lease }) })
    }

    /// Changes what a leader says.
    pub(crate) async fn proclaim(
        &self,
        caller: &Caller,
        ProclaimRequest { leader, value }: ProclaimRequest,
    ) -> Result<Plain<ProclaimResponse>, Status> {
        let proclaimed = async {
            let LeaderKey { key, rev, lease, .. } = leader.ok_or_else(no_leader_given)?;
            let lease = self.lease_for(caller, lease).await?;
            self.proclaim_at(caller, &Place { key, lease, revision: rev }, value).await
        };
        let header = proclaimed.await.map_err(as_a_client_has_it)?;
        Ok(Plain(ProclaimResponse { header }))
    }

    async fn proclaim_at(
        &self,
        caller: &Caller,
        place: &Place,
        value: Bytes,
    ) -> Result<Option<ResponseHeader>, Status> {
        let request = TxnRequest {
            compare: vec![made_at(&place.key, place.revision)],
            success: vec![put(&place.key, value, place.lease)],
            failure: Vec::new(),
        };
        let done = self.txn_for(caller, request).await?;
        if done.succeeded { Ok(done.header) } else { Err(Status::unknown("election: not leader")) }
    }

    /// Returns who leads.
    pub(crate) async fn election_leader(
        &self,
        caller: &Caller,
        request: LeaderRequest,
    ) -> Result<Plain<LeaderResponse>, Status> {
        let mut first = self.range_for(caller, first_of(&request.name)).await.map_err(as_a_client_has_it)?;
        let kv = first.kvs.pop().ok_or_else(|| Status::unknown("election: no leader"))?;
        Ok(Plain(LeaderResponse { header: first.header, kv: Some(kv) }))
    }

    /// Returns who leads, and what the leaders say from then on.
    pub(crate) async fn observe_election(
        self: &Arc<Self>,
        caller: &Caller,
        request: LeaderRequest,
    ) -> Result<UntilEnd<Observed>, Status> {
        let observer =
            Observer { api: self.clone(), caller: caller.clone(), name: request.name, leader: None };
        let observed = try_unfold(observer, |mut observer| async move {
            let (header, kv) = observer.next().await.map_err(as_a_client_has_it)?;
            Ok(Some((Plain(LeaderResponse { header, kv: Some(kv) }), observer)))
        });
        Ok(UntilEnd::new(self, Box::pin(observed), false))
    }

    /// Gives the lead up, or a place in its line.
    pub(crate) async fn resign(
        &self,
        caller: &Caller,
        ResignRequest { leader }: ResignRequest,
    ) -> Result<Plain<ResignResponse>, Status> {
        let LeaderKey { key, rev, .. } = leader.ok_or_else(no_leader_given)?;
        let request = TxnRequest {
            compare: vec![made_at(&key, rev)],
            success: vec![delete(&key)],
            failure: Vec::new(),
        };
        let done = self.txn_for(caller, request).await.map_err(as_a_client_has_it)?;
        Ok(Plain(ResignResponse { header: done.header }))
    }
}

/// Somebody who follows an election.
struct Observer {
    api: Arc<Api>,
    caller: Caller,
    name: Bytes,
    /// The leader's key, watched. `None`: there may be another one.
    leader: Option<Following>,
}

/// A leader's key that is followed.
struct Following {
    events: Events,
    /// Events that have come and are not handed out.
    come: std::vec::IntoIter<proto::mvccpb::Event>,
    header: Option<ResponseHeader>,
}

impl Observer {
    /// Returns what a leader says next.
    async fn next(&mut self) -> Result<(Option<ResponseHeader>, KeyValue), Status> {
        loop {
            if let Some(following) = &mut self.leader {
                if let Some(said) = following.next().await? {
                    return Ok(said);
                }
                self.leader = None;
            }
            if let Some((header, kv)) = self.first().await? {
                let since = header.as_ref().map_or(0, |header| header.revision) + 1;
                let request =
                    WatchCreateRequest { key: kv.key.clone(), start_revision: since, ..Default::default() };
                let events = Events::of(&self.api, &self.caller, request);
                self.leader = Some(Following { events, come: Vec::new().into_iter(), header: None });
                return Ok((header, kv));
            }
        }
    }

    /// Returns the leader, or who leads first if nobody does; `None` if that is to be asked again.
    async fn first(&self) -> Result<Option<(Option<ResponseHeader>, KeyValue)>, Status> {
        let mut range = self.api.range_for(&self.caller, first_of(&self.name)).await?;
        if let Some(kv) = range.kvs.pop() {
            return Ok(Some((range.header, kv)));
        }
        let since = range.header.map_or(0, |header| header.revision) + 1;
        let mut events = Events::of_line(&self.api, &self.caller, &self.name, since);
        while let Some(response) = events.next().await? {
            let put = response.events.into_iter().find(|event| !is_deletion(event));
            if let Some(kv) = put.and_then(|event| event.kv) {
                // More may have happened by then. What follows is watched from here on.
                let header =
                    response.header.map(|header| ResponseHeader { revision: kv.mod_revision, ..header });
                return Ok(Some((header, kv)));
            }
        }
        Ok(None)
    }
}

impl Following {
    /// Returns what the leader says next; `None` when it leads no longer.
    async fn next(&mut self) -> Result<Option<(Option<ResponseHeader>, KeyValue)>, Status> {
        loop {
            match self.come.next() {
                Some(event) if is_deletion(&event) => return Ok(None),
                Some(event) => {
                    let Some(kv) = event.kv else { continue };
                    return Ok(Some((self.header, kv)));
                }
                None => match self.events.next().await? {
                    Some(response) => {
                        self.header = response.header;
                        self.come = response.events.into_iter();
                    }
                    None => return Ok(None),
                },
            }
        }
    }
}
