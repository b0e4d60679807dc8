//! Rows that are numbers: leases' keys, alarms' keys, indices.

use super::RowFault;
use super::protobuf::{next_field, put_number};

/// Returns the key of a lease: its id, a negative one in two's complement.
#[must_use]
pub const fn lease_key(id: i64) -> [u8; 8] {
    id.to_be_bytes()
}

/// Reads the key of a lease.
///
/// # Errors
/// [`RowFault::Number`].
pub fn parse_lease_key(key: &[u8]) -> Result<i64, RowFault> {
    parse_u64(key).map(|id| id as i64)
}

/// Reads a number of eight bytes.
pub(super) fn parse_u64(value: &[u8]) -> Result<u64, RowFault> {
    let number = value.try_into().map_err(|_| RowFault::Number { bytes: value.len(), expected: 8 })?;
    Ok(u64::from_be_bytes(number))
}

/// The key of an alarm: protobuf `etcdserverpb.AlarmMember`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlarmKey {
    /// The member that raised it.
    pub member: u64,
    /// Which: 1 is no space, 2 is damage.
    pub alarm: i32,
}

impl AlarmKey {
    /// Reads the key of a row.
    ///
    /// # Errors
    /// [`RowFault::Protobuf`].
    pub fn parse(mut key: &[u8]) -> Result<Self, RowFault> {
        let mut parsed = Self { member: 0, alarm: 0 };
        while let Some((field, content)) = next_field(&mut key)? {
            match field {
                1 => parsed.member = content.number()?,
                // As everywhere in protobuf, a number that is too long for its type loses its upper half.
                2 => parsed.alarm = content.number()? as i32,
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// Returns the key as a row has it.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(1, self.member, &mut out);
        put_number(2, i64::from(self.alarm) as u64, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        assert_eq!(parse_lease_key(&lease_key(-5)), Ok(-5));
        assert_eq!(parse_lease_key(b"1234567"), Err(RowFault::Number { bytes: 7, expected: 8 }));
        let alarm = AlarmKey { member: 0x8e9e_05c5_2164_694d, alarm: 1 };
        assert_eq!(AlarmKey::parse(&alarm.encoded()), Ok(alarm));
        assert_eq!(alarm.encoded(), b"\x08\xcd\xd2\x91\x8b\xd2\xb8\x81\xcf\x8e\x01\x10\x01");
    }
}
