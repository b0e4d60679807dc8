//! The answers of `endpoint`: one entry for each endpoint that answered.

use proto::etcdserverpb::{DowngradeInfo, HashKvResponse, StatusResponse};

use super::json::{Members, Object, ToJson as _};
use super::size::si;
use super::{Answer, Page, Table, Unsupported};

/// Whether an endpoint commits, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The endpoint.
    pub endpoint: String,
    /// Whether it committed, and raised no alarm.
    pub healthy: bool,
    /// How long it took, as Go prints it; empty when no client could be made.
    pub took: String,
    /// What is wrong; empty when nothing is.
    pub error: String,
}

/// What an endpoint says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The endpoint.
    pub endpoint: String,
    /// Its answer.
    pub answer: StatusResponse,
}

/// The hash of what an endpoint stores.
#[derive(Clone, Debug, PartialEq)]
pub struct Hash {
    /// The endpoint.
    pub endpoint: String,
    /// Its answer.
    pub answer: HashKvResponse,
}

/// Endpoints in the order in which they are printed.
#[derive(Clone, Debug)]
pub struct Endpoints<T>(pub Vec<T>);

impl Health {
    /// Returns the line for people, without a line break.
    pub fn line(&self) -> String {
        let Health { endpoint, took, error, .. } = self;
        if error.is_empty() {
            return format!("{endpoint} is healthy: successfully committed proposal: took = {took}");
        }
        format!("{endpoint} is unhealthy: failed to commit proposal: {error}")
    }
}

impl Members for Health {
    fn members(&self, object: &mut Object<'_>) {
        object.always("endpoint", &self.endpoint);
        object.always("health", &self.healthy);
        object.always("took", &self.took);
        object.field("error", &self.error);
    }
}

impl Answer for Endpoints<Health> {
    /// What is unhealthy is said on standard error, by the command.
    fn simple(&self, page: &mut Page) {
        self.0.iter().filter(|health| health.error.is_empty()).for_each(|health| page.line(health.line()));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        for health in &self.0 {
            page.quoted("Endpoint", health.endpoint.as_bytes());
            page.field("Health", health.healthy);
            page.field("Took", &health.took);
            page.field("Error", &health.error);
            page.line("");
        }
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        self.0.write(out);
        Ok(())
    }

    fn table(&self) -> Result<Table, Unsupported> {
        let row = |health: &Health| {
            vec![
                health.endpoint.clone(),
                health.healthy.to_string(),
                health.took.clone(),
                health.error.clone(),
            ]
        };
        Ok(Table::new(&["endpoint", "health", "took", "error"], self.0.iter().map(row).collect()))
    }
}

impl Members for DowngradeInfo {
    fn members(&self, object: &mut Object<'_>) {
        object.field("enabled", &self.enabled);
        object.field("targetVersion", &self.target_version);
    }
}

impl Members for StatusResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("version", &self.version);
        object.field("dbSize", &self.db_size);
        object.field("leader", &self.leader);
        object.field("raftIndex", &self.raft_index);
        object.field("raftTerm", &self.raft_term);
        object.field("raftAppliedIndex", &self.raft_applied_index);
        object.field("errors", &self.errors);
        object.field("dbSizeInUse", &self.db_size_in_use);
        object.field("isLearner", &self.is_learner);
        object.field("storageVersion", &self.storage_version);
        object.field("dbSizeQuota", &self.db_size_quota);
        object.field("downgradeInfo", &self.downgrade_info);
    }
}

impl Members for Status {
    fn members(&self, object: &mut Object<'_>) {
        object.always("Endpoint", &self.endpoint);
        object.always("Status", &self.answer);
    }
}

const STATUS_TITLES: [&str; 16] = [
    "endpoint",
    "ID",
    "version",
    "storage version",
    "db size",
    "in use",
    "percentage not in use",
    "quota",
    "is leader",
    "is learner",
    "raft term",
    "raft index",
    "raft applied index",
    "errors",
    "downgrade target version",
    "downgrade enabled",
];

impl Status {
    fn row(&self) -> Vec<String> {
        let status = &self.answer;
        let id = status.header.map_or(0, |header| header.member_id);
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        vec![
            self.endpoint.clone(),
            format!("{id:x}"),
            status.version.clone(),
            status.storage_version.clone(),
            si(status.db_size.cast_unsigned()),
            si(status.db_size_in_use.cast_unsigned()),
            format!("{}%", unused_percentage(status.db_size, status.db_size_in_use)),
            si(status.db_size_quota.cast_unsigned()),
            (status.leader == id).to_string(),
            status.is_learner.to_string(),
            status.raft_term.to_string(),
            status.raft_index.to_string(),
            status.raft_applied_index.to_string(),
            status.errors.join(", "),
            downgrade.target_version,
            downgrade.enabled.to_string(),
        ]
    }

    fn fields(&self, page: &mut Page) {
        let status = &self.answer;
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        page.header(status.header.as_ref());
        page.quoted("Version", status.version.as_bytes());
        page.quoted("StorageVersion", status.storage_version.as_bytes());
        page.field("DBSize", status.db_size);
        page.field("DBSizeInUse", status.db_size_in_use);
        page.field("DBSizeQuota", status.db_size_quota);
        page.field("Leader", status.leader);
        page.field("IsLearner", status.is_learner);
        page.field("RaftIndex", status.raft_index);
        page.field("RaftTerm", status.raft_term);
        page.field("RaftAppliedIndex", status.raft_applied_index);
        page.field("Errors", format_args!("[{}]", status.errors.join(" ")));
        page.quoted("Endpoint", self.endpoint.as_bytes());
        page.quoted("DowngradeTargetVersion", downgrade.target_version.as_bytes());
        page.field("DowngradeEnabled", downgrade.enabled);
        page.line("");
    }
}

/// Returns how much of a database is not used, rounded up. etcdctl crashes when there is no database.
fn unused_percentage(bytes: i64, used: i64) -> i64 {
    used.saturating_mul(100).checked_div(bytes).map_or(0, |used| 100 - used)
}

impl Answer for Endpoints<Status> {
    fn simple(&self, page: &mut Page) {
        self.0.iter().for_each(|status| page.line(status.row().join(", ")));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        self.0.iter().for_each(|status| status.fields(page));
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        self.0.write(out);
        Ok(())
    }

    fn table(&self) -> Result<Table, Unsupported> {
        Ok(Table::new(&STATUS_TITLES, self.0.iter().map(Status::row).collect()))
    }
}

impl Members for HashKvResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("hash", &self.hash);
        object.field("compact_revision", &self.compact_revision);
        object.field("hash_revision", &self.hash_revision);
    }
}

impl Members for Hash {
    fn members(&self, object: &mut Object<'_>) {
        object.always("Endpoint", &self.endpoint);
        object.always("HashKV", &self.answer);
    }
}

impl Hash {
    fn row(&self) -> Vec<String> {
        vec![self.endpoint.clone(), self.answer.hash.to_string(), self.answer.hash_revision.to_string()]
    }
}

impl Answer for Endpoints<Hash> {
    fn simple(&self, page: &mut Page) {
        self.0.iter().for_each(|hash| page.line(hash.row().join(", ")));
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        for hash in &self.0 {
            page.header(hash.answer.header.as_ref());
            page.quoted("Endpoint", hash.endpoint.as_bytes());
            page.field("Hash", hash.answer.hash);
            page.field("HashRevision", hash.answer.hash_revision);
            page.line("");
        }
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        self.0.write(out);
        Ok(())
    }

    fn table(&self) -> Result<Table, Unsupported> {
        Ok(Table::new(&["endpoint", "hash", "hash_revision"], self.0.iter().map(Hash::row).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{header, printed, refused};
    use super::*;

    fn health(error: &str) -> Health {
        let took = "1.5ms".to_owned();
        Health { endpoint: "a:1".to_owned(), healthy: error.is_empty(), took, error: error.to_owned() }
    }

    fn status() -> Status {
        let answer = StatusResponse {
            header: header(1),
            version: "3.7.1".to_owned(),
            storage_version: "3.7.0".to_owned(),
            db_size: 20_480,
            db_size_in_use: 16_384,
            db_size_quota: 2_147_483_648,
            leader: 2,
            raft_index: 8,
            raft_term: 3,
            raft_applied_index: 8,
            errors: vec!["one".to_owned(), "two".to_owned()],
            is_learner: false,
            downgrade_info: Some(DowngradeInfo::default()),
        };
        Status { endpoint: "a:1".to_owned(), answer }
    }

    #[test]
    fn health_is_printed_in_every_format_but_one() {
        let list = Endpoints(vec![health(""), health("Active Alarm(s): NOSPACE ")]);
        assert_eq!(
            printed("simple", &list),
            "a:1 is healthy: successfully committed proposal: took = 1.5ms\n"
        );
        assert_eq!(
            list.0[1].line(),
            "a:1 is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE "
        );
        assert_eq!(
            printed("fields", &list),
            "\"Endpoint\" : \"a:1\"\n\"Health\" : true\n\"Took\" : 1.5ms\n\"Error\" : \n\n\
             \"Endpoint\" : \"a:1\"\n\"Health\" : false\n\"Took\" : 1.5ms\n\"Error\" : Active Alarm(s): NOSPACE \n\n"
        );
        assert_eq!(
            printed("json", &list),
            "[{\"endpoint\":\"a:1\",\"health\":true,\"took\":\"1.5ms\"},\
             {\"endpoint\":\"a:1\",\"health\":false,\"took\":\"1.5ms\",\"error\":\"Active Alarm(s): NOSPACE \"}]\n"
        );
        assert_eq!(refused("protobuf", &list), "protobuf not supported as output format");
        assert_eq!(printed("json", &Endpoints(Vec::<Health>::new())), "null\n");
    }

    #[test]
    fn a_status_is_printed_in_every_format_but_one() {
        let list = Endpoints(vec![status()]);
        assert_eq!(
            printed("simple", &list),
            "a:1, 2, 3.7.1, 3.7.0, 20 kB, 16 kB, 20%, 2.1 GB, true, false, 3, 8, 8, one, two, , false\n"
        );
        assert_eq!(
            printed("json", &list),
            "[{\"Endpoint\":\"a:1\",\"Status\":{\"header\":{\"cluster_id\":1,\"member_id\":2,\"revision\":1,\
             \"raft_term\":3},\"version\":\"3.7.1\",\"dbSize\":20480,\"leader\":2,\"raftIndex\":8,\"raftTerm\":3,\
             \"raftAppliedIndex\":8,\"errors\":[\"one\",\"two\"],\"dbSizeInUse\":16384,\"storageVersion\":\"3.7.0\",\
             \"dbSizeQuota\":2147483648,\"downgradeInfo\":{}}}]\n"
        );
        let fields = printed("fields", &list);
        assert!(fields.ends_with(
            "\"Errors\" : [one two]\n\"Endpoint\" : \"a:1\"\n\"DowngradeTargetVersion\" : \"\"\n\
             \"DowngradeEnabled\" : false\n\n"
        ));
        assert_eq!(refused("protobuf", &list), "protobuf not supported as output format");
    }

    #[test]
    fn a_member_without_a_database_has_nothing_unused() {
        assert_eq!(
            [(0, 0), (3, 1), (100, 100), (20_480, 16_384)].map(|(all, used)| unused_percentage(all, used)),
            [0, 67, 0, 20]
        );
    }

    #[test]
    fn a_hash_is_printed_in_every_format_but_one() {
        let answer = HashKvResponse { header: header(5), hash: 7, compact_revision: -1, hash_revision: 5 };
        let list = Endpoints(vec![Hash { endpoint: "a:1".to_owned(), answer }]);
        assert_eq!(printed("simple", &list), "a:1, 7, 5\n");
        assert!(
            printed("fields", &list)
                .ends_with("\"Endpoint\" : \"a:1\"\n\"Hash\" : 7\n\"HashRevision\" : 5\n\n")
        );
        assert!(
            printed("json", &list).ends_with("\"hash\":7,\"compact_revision\":-1,\"hash_revision\":5}}]\n")
        );
        assert_eq!(refused("protobuf", &list), "protobuf not supported as output format");
    }
}
