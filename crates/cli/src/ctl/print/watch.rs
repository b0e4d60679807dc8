//! What a watch is sent.
//!
//! etcd's Go client gives it a type of its own, whose JSON has the names of Go fields and no `omitempty`.

use proto::etcdserverpb::WatchResponse;
use proto::mvccpb::Event;
use proto::mvccpb::event::EventType;

use super::json::{Members, Object, With, object};
use super::{Answer, Page, Unsupported, encoded};

/// Returns the type of an event, as it is printed.
pub fn type_of(event: &Event) -> &'static str {
    event.r#type().as_str_name()
}

impl Answer for WatchResponse {
    fn simple(&self, page: &mut Page) {
        for event in &self.events {
            page.line(type_of(event));
            if let Some(previous) = &event.prev_kv {
                page.key_value(previous);
            }
            page.key_value(&event.kv.clone().unwrap_or_default());
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        for event in &self.events {
            page.field("Type", type_of(event));
            if let Some(previous) = &event.prev_kv {
                page.key_value_fields("Prev", previous);
            }
            page.key_value_fields("", &event.kv.clone().unwrap_or_default());
        }
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, _hex: bool) -> Result<(), Unsupported> {
        object(
            out,
            &With(|object: &mut Object<'_>| {
                object.always("Header", &self.header);
                object.always("Events", &self.events);
                object.always("CompactRevision", &self.compact_revision);
                object.always("Canceled", &self.canceled);
                object.always("Created", &self.created);
                object.always("CancelReason", &self.cancel_reason);
            }),
        );
        Ok(())
    }

    /// Without the id of the watch and the reason for its end, which etcdctl leaves out.
    fn protobuf(&self) -> Result<Vec<u8>, Unsupported> {
        let printed =
            WatchResponse { watch_id: 0, cancel_reason: String::new(), fragment: false, ..self.clone() };
        encoded(&printed)
    }
}

impl Members for Event {
    fn members(&self, object: &mut Object<'_>) {
        let number = self.r#type;
        if number != EventType::Put as i32 {
            object.always("type", &number);
        }
        object.field("kv", &self.kv);
        object.field("prev_kv", &self.prev_kv);
    }
}
