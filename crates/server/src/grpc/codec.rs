//! tonic's codec for the streaming methods: prost on the way in, [`WireReply`] on the way out.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::reply::WireReply;

/// Decodes `Q`, encodes `R`.
pub(crate) struct WireCodec<Q, R>(PhantomData<fn() -> (Q, R)>);

impl<Q, R> Default for WireCodec<Q, R> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q: Message + Default + Send + 'static, R: WireReply> Codec for WireCodec<Q, R> {
    type Encode = R;
    type Decode = Q;
    type Encoder = WireEncoder<R>;
    type Decoder = MessageDecoder<Q>;

    fn encoder(&mut self) -> Self::Encoder {
        WireEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// See [`WireCodec`].
pub(crate) struct WireEncoder<R>(PhantomData<fn() -> R>);

impl<R: WireReply> Encoder for WireEncoder<R> {
    type Item = R;
    type Error = Status;

    fn encode(&mut self, reply: R, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(reply.wire_len());
        reply.write(buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // A stream of single events needs little; larger messages reserve what they need.
        BufferSettings::new(1024, 32 * 1024)
    }
}

/// See [`WireCodec`].
pub(crate) struct MessageDecoder<Q>(PhantomData<fn() -> Q>);

impl<Q: Message + Default> Decoder for MessageDecoder<Q> {
    type Item = Q;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Q>, Status> {
        Q::decode(buf)
            .map(Some)
            .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))
    }
}
