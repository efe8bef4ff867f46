//! Frames on a byte stream: four bytes of length, big-endian, then that many bytes of JSON.
//!
//! What the JSON means is not known here. A length is believed only as far as bytes come.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The most bytes of a frame before the peer has proved who it is.
pub(super) const HANDSHAKE_MAX: usize = 64 * 1024;
/// The most bytes of any other frame: a bundle in base64 fits.
pub(super) const FRAME_MAX: usize = 96 * 1024 * 1024;

/// Why no frame came.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    /// A frame is larger than it may be.
    #[error("a frame has {bytes} bytes, and {max} are the most")]
    TooLarge {
        /// Its length as it says.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// A frame is not what it should be.
    #[error("a frame is not of this protocol: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Reads one frame.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    max: usize,
) -> Result<T, WireError> {
    let length = stream.read_u32().await?;
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes > max {
        return Err(WireError::TooLarge { bytes, max });
    }
    // Memory grows as bytes come, not by what the length promises.
    let mut body = Vec::with_capacity(bytes.min(HANDSHAKE_MAX));
    stream.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() < bytes {
        return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Appends one frame to a buffer.
pub(super) fn append<T: Serialize>(
    buffer: &mut Vec<u8>,
    frame: &T,
    max: usize,
) -> Result<(), WireError> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *buffer, frame)?;
    let bytes = buffer.len() - start - 4;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= max => {
            if let Some(prefix) = buffer.get_mut(start..start + 4) {
                prefix.copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        }
        _ => {
            buffer.truncate(start);
            Err(WireError::TooLarge { bytes, max })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        append(&mut bytes, &vec![1, 2], HANDSHAKE_MAX).expect("a frame");
        append(&mut bytes, &"x", HANDSHAKE_MAX).expect("a frame");
        let mut stream = bytes.as_slice();
        assert_eq!(read::<Vec<u32>>(&mut stream, 100).await.expect("a frame"), [1, 2]);
        assert_eq!(read::<String>(&mut stream, 100).await.expect("a frame"), "x");
        assert!(matches!(read::<String>(&mut stream, 100).await, Err(WireError::Io(_))));
    }

    #[tokio::test]
    async fn a_frame_that_is_too_large_or_cut_off_is_refused() {
        let mut large: &[u8] = &[0, 1, 0, 1, b'"'];
        assert!(matches!(
            read::<String>(&mut large, HANDSHAKE_MAX).await,
            Err(WireError::TooLarge { bytes: 65_537, .. })
        ));
        let mut promising: &[u8] = &[0x05, 0, 0, 0, b'"'];
        assert!(matches!(read::<String>(&mut promising, FRAME_MAX).await, Err(WireError::Io(_))));
        let mut foreign: &[u8] = &[0, 0, 0, 2, b'{', b'x'];
        assert!(matches!(read::<String>(&mut foreign, 10).await, Err(WireError::Malformed(_))));
        let mut buffer = vec![7];
        assert!(append(&mut buffer, &"abc", 4).is_err());
        assert_eq!(buffer, [7]);
    }
}
