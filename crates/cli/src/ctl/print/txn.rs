//! The answer of `txn`.

use proto::etcdserverpb::response_op::Response;
use proto::etcdserverpb::{ResponseOp, TxnResponse};

use super::json::{Members, Object, With};
use super::{Answer, Page, Unsupported};

impl Answer for TxnResponse {
    fn simple(&self, page: &mut Page) {
        page.line(if self.succeeded { "SUCCESS" } else { "FAILURE" });
        for operation in &self.responses {
            page.line("");
            match &operation.response {
                Some(Response::ResponseRange(answer)) => answer.simple(page),
                Some(Response::ResponsePut(answer)) => answer.simple(page),
                Some(Response::ResponseDeleteRange(answer)) => answer.simple(page),
                Some(Response::ResponseTxn(_)) | None => page.line("unexpected response"),
            }
        }
    }

    fn fields(&self, page: &mut Page) -> Result<(), Unsupported> {
        page.header(self.header.as_ref());
        page.field("Succeeded", self.succeeded);
        for operation in &self.responses {
            match &operation.response {
                Some(Response::ResponseRange(answer)) => answer.fields(page)?,
                Some(Response::ResponsePut(answer)) => answer.fields(page)?,
                Some(Response::ResponseDeleteRange(answer)) => answer.fields(page)?,
                Some(Response::ResponseTxn(_)) | None => page.quoted("Unknown", b""),
            }
        }
        Ok(())
    }

    as_message!(self);
}

impl Members for TxnResponse {
    fn members(&self, object: &mut Object<'_>) {
        object.field("header", &self.header);
        object.field("succeeded", &self.succeeded);
        object.field("responses", &self.responses);
    }
}

impl Members for ResponseOp {
    fn members(&self, object: &mut Object<'_>) {
        object.always(
            "Response",
            &With(|object: &mut Object<'_>| match &self.response {
                Some(Response::ResponseRange(answer)) => object.always("response_range", answer),
                Some(Response::ResponsePut(answer)) => object.always("response_put", answer),
                Some(Response::ResponseDeleteRange(answer)) => object.always("response_delete_range", answer),
                Some(Response::ResponseTxn(answer)) => object.always("response_txn", answer),
                None => {}
            }),
        );
    }
}
