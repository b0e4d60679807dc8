//! The answers of `put`, `get` and `del`.

use proto::etcdserverpb::{DeleteRangeResponse, PutResponse, RangeResponse};

use super::json::{Members, Object};
use super::{Answer, Page, Unsupported};

impl Answer for PutResponse {
    fn simple(&self, page: &mut Page) {
        page.line("OK");
        if let Some(previous) = &self.prev_kv {
            page.key_value(previous);
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        if let Some(previous) = &self.prev_kv {
            page.key_value_fields("Prev", previous);
        }
        Ok(())
    }

    as_message!(self);
}

impl Members for PutResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("prev_kv", &self.prev_kv);
    }
}

impl Answer for RangeResponse {
    fn simple(&self, page: &mut Page) {
        for pair in &self.kvs {
            page.key_value(pair);
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        for pair in &self.kvs {
            page.key_value_fields("", pair);
        }
        page.field("More", self.more);
        page.field("Count", self.count);
        Ok(())
    }

    as_message!(self);
}

impl Members for RangeResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("kvs", &self.kvs);
        object.field("more", &self.more);
        object.field("count", &self.count);
    }
}

impl Answer for DeleteRangeResponse {
    fn simple(&self, page: &mut Page) {
        page.line(self.deleted);
        for pair in &self.prev_kvs {
            page.key_value(pair);
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        page.field("Deleted", self.deleted);
        for pair in &self.prev_kvs {
            page.key_value_fields("Prev", pair);
        }
        Ok(())
    }

    as_message!(self);
}

impl Members for DeleteRangeResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("deleted", &self.deleted);
        object.field("prev_kvs", &self.prev_kvs);
    }
}
