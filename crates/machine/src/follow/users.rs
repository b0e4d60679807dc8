//! Users and roles of the source.

use std::sync::Arc;

use prost::Message;
use proto::authpb;
use proto::quoratepb::FollowAuth;

use crate::auth::tables::{self, ROLES, SETTINGS, USERS};
use crate::auth::{AuthState, User};
use crate::seed::{self, Row};
use crate::source::Failure;
use crate::{Effect, Machine, Malformed, Outcome};

impl Machine {
    /// Takes over all users and roles of the source, in place of those that are here.
    pub(crate) fn follow_auth(&mut self, request: &FollowAuth) -> Result<Outcome, Failure> {
        self.followed(request.load)?;
        let rows = match rows(request) {
            Ok(rows) => rows,
            Err(malformed) => return Ok(self.stop_following(format!("of the source: {malformed}"))),
        };
        let before = self.auth.clone();
        for table in [USERS, ROLES, SETTINGS] {
            let keys: Vec<Vec<u8>> = self.store.side_scan(table).map(|(key, _)| key.to_vec()).collect();
            keys.iter().for_each(|key| drop(self.store.side_delete(table, key)));
        }
        rows.into_iter().for_each(|row| row.put(&mut self.store));
        match tables::read(&self.store) {
            Ok(state) => self.auth = Arc::new(state),
            Err(malformed) => return Ok(self.stop_following(format!("of the source: {malformed}"))),
        }
        let mut outcome = self.nothing_done();
        outcome.effects = effects(&before, &self.auth);
        Ok(outcome)
    }
}

fn rows(request: &FollowAuth) -> Result<Vec<Row>, Malformed> {
    let mut rows = Vec::new();
    // Without either, nobody was ever added.
    if request.enabled || request.revision > 0 {
        rows.extend(seed::auth(request.enabled, request.revision.max(1)));
    }
    for record in &request.users {
        let name = authpb::User::decode(&record[..]).unwrap_or_default().name;
        rows.push(seed::user(&name, record)?);
    }
    for record in &request.roles {
        let name = authpb::Role::decode(&record[..]).unwrap_or_default().name;
        rows.push(seed::role(&name, record)?);
    }
    Ok(rows)
}

/// What follows from the difference: who has another password, or is gone, is logged in no longer.
fn effects(before: &AuthState, after: &AuthState) -> Vec<Effect> {
    let mut effects = Vec::new();
    if before.is_enabled() != after.is_enabled() {
        effects.push(Effect::AllTokensInvalid);
    }
    let password = |user: Option<&User>| user.map(|user| user.password_hash.clone());
    for (name, user) in before.users() {
        if password(after.user(name)) != Some(user.password_hash.clone()) {
            effects.push(Effect::UserTokensInvalid { user: name.into() });
        }
    }
    effects.push(Effect::AuthChanged { revision: after.revision() });
    effects
}
