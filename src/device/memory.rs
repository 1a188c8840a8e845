//! Recognizing out-of-memory errors by their messages.

/// How a graphics card's memory is insufficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryShortage {
    /// No memory is left.
    OutOfMemory,
    /// One allocation exceeds the driver's limit, however much memory is free.
    AllocationTooLarge,
}

/// Whether a device's error, or the message of a panic that repeats it, is about memory. It compares the message with
/// those of CubeCL, wgpu and Vulkan, since most of these errors arrive as text.
pub fn memory_shortage(error: &str) -> Option<MemoryShortage> {
    use MemoryShortage::{AllocationTooLarge, OutOfMemory};
    const MESSAGES: [(&str, MemoryShortage); 8] = [
        // IoError and LaunchError of cubecl-runtime.
        ("out of device memory allocating", OutOfMemory),
        ("couldn't map storage for a deferred allocation", OutOfMemory),
        ("an out-of-memory error happened during launch", OutOfMemory),
        ("can't allocate buffer of size", AllocationTooLarge),
        // Error of wgpu in a panic of cubecl-wgpu, DeviceError of wgpu-core, and Vulkan's result.
        ("wgpu error: out of memory", OutOfMemory),
        ("not enough memory left", OutOfMemory),
        ("a device memory allocation has failed", OutOfMemory),
        // CreateBufferError of wgpu-core.
        ("is greater than the maximum buffer size", AllocationTooLarge),
    ];
    let text = error.to_lowercase();
    let known = MESSAGES.into_iter().find(|(message, _)| text.contains(message)).map(|(_, shortage)| shortage);
    known.or((text.trim() == "out of memory").then_some(OutOfMemory))
}

#[cfg(test)]
mod tests {
    use cubecl::server::{IoError, LaunchError};

    use super::*;

    #[test]
    fn memory_errors_of_all_libraries_are_recognized() {
        let wgpu = wgpu::Error::OutOfMemory { source: Box::new(std::io::Error::other("Not enough memory left.")) };
        for text in [
            IoError::OutOfMemory { size: 1 << 30, backtrace: Default::default() }.to_string(),
            LaunchError::OutOfMemory { reason: "x".to_owned(), backtrace: Default::default() }.to_string(),
            wgpu.to_string(),
            // How cubecl-wgpu panics on an error that no caller awaits.
            format!("wgpu error: {wgpu}"),
            "training broke: Not enough memory left.".to_owned(),
            "Unknown error happened during execution: A device memory allocation has failed".to_owned(),
        ] {
            assert_eq!(memory_shortage(&text), Some(MemoryShortage::OutOfMemory), "{text}");
        }
        for text in [
            IoError::BufferTooBig { size: 1 << 40, backtrace: Default::default() }.to_string(),
            "In Device::create_buffer: Buffer size 5368709120 is greater than the maximum buffer size (4294967296)"
                .to_owned(),
        ] {
            assert_eq!(memory_shortage(&text), Some(MemoryShortage::AllocationTooLarge), "{text}");
        }
        for text in [
            "The device is poisoned: Unknown: Device lost",
            "Parent device is lost",
            "Too much shared memory requested.\nRequested 70000 bytes, maximum 49152 bytes available.",
            "couldn't find resource for that handle: it is gone",
        ] {
            assert_eq!(memory_shortage(text), None, "{text}");
        }
    }
}
