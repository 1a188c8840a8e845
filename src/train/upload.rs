//! Uploads real pictures to the device. A graphics card receives bytes and converts them itself.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::device::uses_wgpu;
use crate::image::to_signed;

/// Converts planes of bytes to a tensor of the given shape, `[count, channels, size, size]`, with values in [-1, 1].
pub(super) fn pictures(planes: &[u8], shape: [usize; 4], device: &Device) -> Tensor<4> {
    if uses_wgpu(device) {
        return unpack_on_card(planes, shape, device);
    }
    let values = planes.iter().copied().map(to_signed).collect::<Vec<f32>>();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Uploads four bytes per word, since not every card has 8-bit integers, and unpacks them on the card.
fn unpack_on_card(planes: &[u8], shape: [usize; 4], device: &Device) -> Tensor<4> {
    let word = |bytes: &[u8]| {
        let mut word = [0; 4];
        word[..bytes.len()].copy_from_slice(bytes);
        i32::from_le_bytes(word)
    };
    let words: Vec<i32> = planes.chunks(4).map(word).collect();
    let count = words.len();
    let words = Tensor::<2, Int>::from_data(TensorData::new(words, [count, 1]), (device, DType::I32));
    let shifts = Tensor::<2, Int>::from_data(TensorData::new(vec![0, 8, 16, 24], [1, 4]), (device, DType::I32));
    let bytes = words.bitwise_right_shift(shifts).bitwise_and_scalar(0xff);
    let values = bytes.float().div_scalar(127.5).sub_scalar(1.0).reshape([count * 4]);
    // The last word may be padded.
    let values = if planes.len() == count * 4 { values } else { values.narrow(0, 0, planes.len()) };
    values.reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Compute;

    #[test]
    fn bytes_convert_to_the_same_values_on_every_device() {
        let software = &Compute::shared_software().device;
        // All byte values; a length that does not fill the last word; pictures of three channels.
        for shape in [[1, 1, 16, 16], [1, 1, 5, 5], [3, 3, 8, 4]] {
            let planes: Vec<u8> = (0..shape.iter().product::<usize>()).map(|i| (i * 7) as u8).collect();
            let wanted: Vec<f32> = planes.iter().copied().map(to_signed).collect();
            let on = |tensor: Tensor<4>| tensor.into_data().try_to_vec::<f32>().unwrap();
            let flex = Device::flex();
            assert_eq!(on(pictures(&planes, shape, &flex)), wanted, "{shape:?}");
            assert_eq!(on(unpack_on_card(&planes, shape, &flex)), wanted, "{shape:?}, unpacked");
            assert_eq!(on(pictures(&planes, shape, software)), wanted, "{shape:?}, on the card");
        }
    }
}
