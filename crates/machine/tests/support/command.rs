//! The commands of scripts, in the words of etcdctl, as requests.

use bytes::Bytes;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use proto::etcdserverpb::request_op::Request;
use proto::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

use super::script::Command;

/// Words that are not options, and options with their values.
struct Words {
    plain: Vec<Bytes>,
    options: Vec<(String, String)>,
}

impl Words {
    fn of(command: &Command) -> Self {
        let (mut plain, mut options) = (Vec::new(), Vec::new());
        for word in &command.words[1..] {
            match word.strip_prefix(b"--") {
                Some(option) => {
                    let option = String::from_utf8(option.to_vec()).unwrap();
                    let (name, value) = option.split_once('=').unwrap_or((&option, ""));
                    options.push((name.to_owned(), value.to_owned()));
                }
                None => plain.push(Bytes::from(word.clone())),
            }
        }
        Self { plain, options }
    }

    fn plain(&self, place: usize) -> Bytes {
        self.plain.get(place).cloned().unwrap_or_default()
    }

    fn flag(&mut self, name: &str) -> bool {
        let before = self.options.len();
        self.options.retain(|(option, _)| option != name);
        self.options.len() < before
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let place = self.options.iter().position(|(option, _)| option == name)?;
        Some(self.options.remove(place).1)
    }

    fn number(&mut self, name: &str) -> i64 {
        self.value(name).map_or(0, |value| value.parse().expect("a number"))
    }

    /// Key and range end, from two words or from an option.
    fn range(&mut self) -> (Bytes, Bytes) {
        let key = self.plain(0);
        let end = if self.flag("prefix") {
            prefix_end(&key)
        } else if self.flag("from-key") {
            Bytes::from_static(b"\0")
        } else {
            self.plain(1)
        };
        (key, end)
    }

    fn done(&self) {
        assert!(self.options.is_empty(), "unknown options {:?}", self.options);
    }
}

fn prefix_end(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|&byte| byte < 0xff) {
        Some(last) => [&prefix[..last], &[prefix[last] + 1]].concat().into(),
        None => Bytes::from_static(b"\0"),
    }
}

pub(crate) fn put(command: &Command) -> PutRequest {
    let mut words = Words::of(command);
    let request = PutRequest {
        key: words.plain(0),
        value: words.plain(1),
        lease: words.number("lease"),
        prev_kv: words.flag("prev-kv"),
        ignore_value: words.flag("ignore-value"),
        ignore_lease: words.flag("ignore-lease"),
    };
    words.done();
    request
}

pub(crate) fn get(command: &Command) -> RangeRequest {
    let mut words = Words::of(command);
    let (key, range_end) = words.range();
    let sort_target = words.value("sort-by").map_or(0, |target| match SortTarget::from_str_name(&target) {
        Some(target) => target as i32,
        None => target.parse().expect("a sort target"),
    });
    let sort_order = words.value("order").map_or(0, |order| match SortOrder::from_str_name(&order) {
        Some(order) => order as i32,
        None => order.parse().expect("a sort order"),
    });
    let request = RangeRequest {
        key,
        range_end,
        limit: words.number("limit"),
        revision: words.number("rev"),
        sort_order,
        sort_target,
        serializable: words.flag("serializable"),
        keys_only: words.flag("keys-only"),
        count_only: words.flag("count-only"),
        min_mod_revision: words.number("min-mod-rev"),
        max_mod_revision: words.number("max-mod-rev"),
        min_create_revision: words.number("min-create-rev"),
        max_create_revision: words.number("max-create-rev"),
    };
    words.done();
    request
}

pub(crate) fn delete(command: &Command) -> DeleteRangeRequest {
    let mut words = Words::of(command);
    let (key, range_end) = words.range();
    let request = DeleteRangeRequest { key, range_end, prev_kv: words.flag("prev-kv") };
    words.done();
    request
}

/// `if`, `then` and `else` below the command, each followed by a compare or an operation.
pub(crate) fn txn(command: &Command) -> TxnRequest {
    let mut request = TxnRequest::default();
    for line in &command.children {
        let inner = Command { words: line.words[1..].to_vec(), children: line.children.clone() };
        match line.text(0) {
            "if" => request.compare.push(compare(&inner)),
            "then" => request.success.push(operation(&inner)),
            "else" => request.failure.push(operation(&inner)),
            other => panic!("unknown part of a txn: {other}"),
        }
    }
    request
}

fn operation(command: &Command) -> RequestOp {
    let request = match command.text(0) {
        "put" => Some(Request::RequestPut(put(command))),
        "get" => Some(Request::RequestRange(get(command))),
        "del" => Some(Request::RequestDeleteRange(delete(command))),
        "txn" => Some(Request::RequestTxn(txn(command))),
        "nothing" => None,
        other => panic!("unknown operation {other}"),
    };
    RequestOp { request }
}

/// `TARGET KEY OPERATOR OPERAND [END] [--prefix|--from-key] [--operand-of=TARGET] [--no-operand]`
fn compare(command: &Command) -> Compare {
    let mut words = Words::of(command);
    let name = command.text(0);
    let operand = words.plain(2);
    let operand_of = words.value("operand-of").unwrap_or_else(|| name.to_owned());
    let number = || std::str::from_utf8(&operand).unwrap().parse::<i64>().expect("a number");
    let target_union = (!words.flag("no-operand")).then(|| match &operand_of[..] {
        "value" => TargetUnion::Value(operand.clone()),
        "version" => TargetUnion::Version(number()),
        "create" => TargetUnion::CreateRevision(number()),
        "mod" => TargetUnion::ModRevision(number()),
        "lease" => TargetUnion::Lease(number()),
        other => panic!("unknown target {other}"),
    });
    let key = words.plain(0);
    let range_end = if words.flag("prefix") {
        prefix_end(&key)
    } else if words.flag("from-key") {
        Bytes::from_static(b"\0")
    } else {
        words.plain(3)
    };
    let target = CompareTarget::from_str_name(&name.to_uppercase())
        .map_or_else(|| name.parse().expect("a target"), |target| target as i32);
    let result = match &words.plain(1)[..] {
        b"=" => CompareResult::Equal as i32,
        b"!=" => CompareResult::NotEqual as i32,
        b">" => CompareResult::Greater as i32,
        b"<" => CompareResult::Less as i32,
        other => std::str::from_utf8(other).unwrap().parse().expect("an operator"),
    };
    words.done();
    Compare { result, target, key, range_end, target_union }
}
