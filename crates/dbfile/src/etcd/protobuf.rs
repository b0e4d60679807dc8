//! As much of protobuf as the rows need: fields of a message, numbers and bytes.

use super::RowFault;

/// A field's content.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// A fixed number: none of the known fields is one.
    Fixed,
}

impl<'m> Field<'m> {
    pub(super) fn number(self) -> Result<u64, RowFault> {
        if let Self::Number(number) = self { Ok(number) } else { Err(RowFault::Protobuf) }
    }

    pub(super) fn bytes(self) -> Result<&'m [u8], RowFault> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(RowFault::Protobuf) }
    }
}

/// Splits the next field off a message; returns its number and content.
pub(super) fn next_field<'m>(message: &mut &'m [u8]) -> Result<Option<(u64, Field<'m>)>, RowFault> {
    if message.is_empty() {
        return Ok(None);
    }
    let tag = varint(message)?;
    let content = match tag % 8 {
        0 => Field::Number(varint(message)?),
        1 => split(message, 8).map(|_| Field::Fixed)?,
        2 => {
            let bytes = varint(message)?;
            Field::Bytes(split(message, usize::try_from(bytes).unwrap_or(usize::MAX))?)
        }
        5 => split(message, 4).map(|_| Field::Fixed)?,
        _ => return Err(RowFault::Protobuf),
    };
    if tag / 8 == 0 { Err(RowFault::Protobuf) } else { Ok(Some((tag / 8, content))) }
}

fn split<'m>(message: &mut &'m [u8], bytes: usize) -> Result<&'m [u8], RowFault> {
    let (front, rest) = message.split_at_checked(bytes).ok_or(RowFault::Protobuf)?;
    *message = rest;
    Ok(front)
}

fn varint(message: &mut &[u8]) -> Result<u64, RowFault> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = split(message, 1)?[0];
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(RowFault::Protobuf)
}

/// Appends a number; one that is 0 is left out.
pub(super) fn put_number(field: u8, number: u64, out: &mut Vec<u8>) {
    if number != 0 {
        out.push(field << 3);
        put_varint(number, out);
    }
}

/// Appends bytes; none are left out.
pub(super) fn put_bytes(field: u8, bytes: &[u8], out: &mut Vec<u8>) {
    if !bytes.is_empty() {
        out.push(field << 3 | 2);
        put_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
