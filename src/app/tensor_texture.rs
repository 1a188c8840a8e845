//! Copies images from tensors to textures on the graphics card, so that they are never read back.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use burn::tensor::Tensor;
use burn_wgpu::{AutoCompiler, CubeBackend, CubeTensor, Wgpu};
use cubecl_wgpu::WgpuServer;
use egui::TextureId;
use egui::mutex::RwLock;
use egui_wgpu::{RenderState, Renderer};
use wgpu::util::DeviceExt;

/// Side of a workgroup, as the shader has it.
const GROUP: u32 = 8;
/// Longest wait for the painting before.
const PATIENCE: Duration = Duration::from_secs(10);

/// Paints generated images onto textures. It uses the device and queue that generated them, which order the two.
pub(super) struct TexturePainter {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipeline: wgpu::ComputePipeline,
    renderer: Arc<RwLock<Renderer>>,
    /// The submission of the last painting.
    last: Cell<Option<wgpu::SubmissionIndex>>,
}

/// A texture for a grid of images of one size, which are painted a few at a time.
pub(super) struct TargetTexture {
    texture: wgpu::Texture,
    count: usize,
    columns: usize,
}

/// A painted texture that the window can show.
pub(super) struct PaintedTexture {
    id: TextureId,
    count: usize,
    view: wgpu::TextureView,
    device: wgpu::Device,
    renderer: Arc<RwLock<Renderer>>,
}

/// Samples as for uploaded textures.
fn sampler() -> wgpu::SamplerDescriptor<'static> {
    wgpu::SamplerDescriptor { min_filter: wgpu::FilterMode::Linear, ..Default::default() }
}

impl PaintedTexture {
    pub fn id(&self) -> TextureId {
        self.id
    }

    /// The number of images on it.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Shows another texture under the same id. Widgets that show this one show the other one.
    pub fn replace(&mut self, other: Self) {
        let mut renderer = self.renderer.write();
        renderer.update_egui_texture_from_wgpu_texture_with_sampler_options(
            &self.device,
            &other.view,
            sampler(),
            self.id,
        );
        drop(renderer);
        (self.view, self.count) = (other.view.clone(), other.count);
    }
}

impl Drop for PaintedTexture {
    fn drop(&mut self) {
        self.renderer.write().free_texture(&self.id);
    }
}

impl TexturePainter {
    /// For a window that is drawn by the device that computes.
    pub fn new(window: &RenderState) -> Self {
        let (device, queue) = (window.device.clone(), window.queue.clone());
        let module = device.create_shader_module(wgpu::include_wgsl!("../../shaders/tensor_texture.wgsl"));
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("tensor texture"),
            layout: None,
            module: &module,
            entry_point: Some("paint"),
            compilation_options: Default::default(),
            cache: None,
        });
        Self { device, queue, pipeline, renderer: window.renderer.clone(), last: Cell::default() }
    }

    /// Paints images `[count, channels, side, side]` in [-1, 1] in rows of `columns`; `None` if they are not on this graphics card.
    pub fn show(&self, pictures: Tensor<4>, columns: usize) -> Option<PaintedTexture> {
        let [count, _, side, _] = pictures.dims();
        let canvas = self.canvas(count, columns, side)?;
        self.paint(&canvas, 0, pictures)?;
        Some(self.finish(canvas))
    }

    /// A texture for `count` images in rows of `columns`; `None` if the graphics card has no textures of that size.
    pub fn canvas(&self, count: usize, columns: usize, side: usize) -> Option<TargetTexture> {
        let columns = columns.min(count).max(1);
        let (width, height) = ((columns * side) as u32, (count.div_ceil(columns) * side) as u32);
        if width.max(height) > self.device.limits().max_texture_dimension_2d {
            return None;
        }
        let texture = self.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("tensor texture"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::STORAGE_BINDING
                | wgpu::TextureUsages::TEXTURE_BINDING
                | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        Some(TargetTexture { texture, count, columns })
    }

    /// Registers a painted texture with the window.
    pub fn finish(&self, canvas: TargetTexture) -> PaintedTexture {
        let view = canvas.texture.create_view(&Default::default());
        let mut renderer = self.renderer.write();
        let id = renderer.register_native_texture_with_sampler_options(&self.device, &view, sampler());
        drop(renderer);
        PaintedTexture { id, count: canvas.count, view, device: self.device.clone(), renderer: self.renderer.clone() }
    }

    /// Paints images from index `first` on; `None` if they are not on this graphics card.
    pub fn paint(&self, canvas: &TargetTexture, first: usize, pictures: Tensor<4>) -> Option<()> {
        let [count, channels, side, _] = pictures.dims();
        let fused = pictures.try_into_primitive::<Wgpu>().ok()?;
        let CubeTensor { client, handle, meta, .. } = fused.client.clone().resolve_tensor_float::<CubeBackend>(fused);
        // The computation must be submitted before the pass that reads its result.
        client.flush().ok()?;
        // With SPIR-V kernels find their memory by address, past wgpu. Whole buffers are marked as written before each launch all the
        // same, so that wgpu lets this reading wait for the writing; and `resource` keeps others off the memory until it is submitted.
        let resource = client.get_resource::<WgpuServer<AutoCompiler>>(handle).ok()?;
        let alignment = u64::from(self.device.limits().min_storage_buffer_offset_alignment);
        if !resource.resource().offset.is_multiple_of(alignment) {
            return None;
        }
        let strides: &[usize] = meta.strides();
        let numbers = [count, channels, side, canvas.columns].into_iter().chain(strides.iter().copied());
        // A uniform's size is a multiple of 16 bytes.
        let numbers = numbers.chain([first, 0, 0, 0]);
        let sheet: Vec<u8> = numbers.flat_map(|number| (number as u32).to_le_bytes()).collect();
        let sheet = self.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("tensor texture"),
            contents: &sheet,
            usage: wgpu::BufferUsages::UNIFORM,
        });
        let view = canvas.texture.create_view(&Default::default());
        let bindings = self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("tensor texture"),
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry { binding: 0, resource: resource.resource().as_wgpu_bind_resource() },
                wgpu::BindGroupEntry { binding: 1, resource: sheet.as_entire_binding() },
                wgpu::BindGroupEntry { binding: 2, resource: wgpu::BindingResource::TextureView(&view) },
            ],
        });
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &bindings, &[]);
        pass.dispatch_workgroups(((count * side) as u32).div_ceil(GROUP), (side as u32).div_ceil(GROUP), 1);
        drop(pass);
        // Nothing is read back that would wait for the card. With one painting under way and one behind it the card is never idle, and
        // what the pointer asks for next never has to wait for more.
        if let Some(before) = self.last.replace(Some(self.queue.submit([encoder.finish()]))) {
            let wait = wgpu::PollType::Wait { submission_index: Some(before), timeout: Some(PATIENCE) };
            let _ = self.device.poll(wait);
        }
        Some(())
    }
}

#[cfg(test)]
impl TexturePainter {
    /// For a window that is never opened, on the device that computes.
    pub fn unseen(setup: &burn::tensor::wgpu::WgpuSetup) -> Self {
        let format = wgpu::TextureFormat::Rgba8Unorm;
        let renderer = Renderer::new(&setup.device, format, egui_wgpu::RendererOptions::default());
        Self::new(&RenderState {
            adapter: setup.adapter.clone(),
            available_adapters: Vec::new(),
            instance: setup.instance.clone(),
            device: setup.device.clone(),
            queue: setup.queue.clone(),
            target_format: format,
            renderer: Arc::new(RwLock::new(renderer)),
        })
    }
}

#[cfg(test)]
impl PaintedTexture {
    /// The texture's pixels as RGB, and how many there are in a row.
    pub fn pixels(&self, setup: &burn::tensor::wgpu::WgpuSetup) -> (Vec<u8>, usize) {
        (read(setup, self.view.texture()), self.view.texture().width() as usize)
    }
}

/// A texture's pixels as RGB.
#[cfg(test)]
fn read(setup: &burn::tensor::wgpu::WgpuSetup, texture: &wgpu::Texture) -> Vec<u8> {
    let (width, height) = (texture.width(), texture.height());
    let row = (width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
    let buffer = setup.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(row * height),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    });
    let mut encoder = setup.device.create_command_encoder(&Default::default());
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &buffer,
            layout: wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(row), rows_per_image: None },
        },
        texture.size(),
    );
    setup.queue.submit([encoder.finish()]);
    buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
    setup.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let bytes = buffer.get_mapped_range(..).unwrap();
    let rows = bytes.chunks_exact(row as usize).map(|line| &line[..width as usize * 4]);
    rows.flatten().copied().collect::<Vec<u8>>().chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::device::Compute;
    use crate::image::{Picture, grid};

    #[test]
    fn a_texture_from_the_card_is_the_picture_that_is_read_back() {
        let software = Compute::shared_software();
        let setup = software.wgpu.as_ref().unwrap();
        let painter = TexturePainter::unseen(setup);
        for (count, channels) in [(1, 3), (5, 1), (7, 3)] {
            let side = 12;
            let size = count * channels * side * side;
            let values: Vec<f32> = (0..size).map(|i| (i * 7919 % 2003) as f32 / 900.0 - 1.1).collect();
            let one = channels * side * side;
            let pictures: Vec<_> = values.chunks(one).map(|v| Picture::from_chw(v, channels, side, side)).collect();
            let data = TensorData::new(values, [count, channels, side, side]);
            let tensor = Tensor::<4>::from_data(data.clone(), &software.device);
            let expected = grid(&pictures, 4, 0).to_rgb();
            let black = |rgb: Vec<u8>| -> Vec<u8> {
                // Places without a picture are white on a sheet and empty in a texture: neither is shown.
                let columns = count.min(4);
                let shown =
                    |i: usize| (i / 3 / (columns * side) / side) * columns + i / 3 % (columns * side) / side < count;
                rgb.into_iter().enumerate().map(|(i, byte)| if shown(i) { byte } else { 0 }).collect()
            };
            // Also where the numbers lie in another order than they are counted.
            let turned = tensor.clone().permute([0, 2, 3, 1]).add_scalar(0.0).permute([0, 3, 1, 2]);
            for tensor in [tensor, turned] {
                let mut shown = painter.show(tensor.clone(), 4).expect("the tensor is on this card");
                assert!(painter.renderer.read().texture(&shown.id()).is_some());
                assert_eq!(shown.count(), count);
                let (id, other) = (shown.id(), painter.show(tensor.clone().narrow(0, 0, 1) + 0.0, 4).unwrap());
                let freed = other.id();
                shown.replace(other);
                assert_eq!((shown.id(), shown.count()), (id, 1), "others show it by the same id");
                drop(shown);
                for id in [id, freed] {
                    assert!(painter.renderer.read().texture(&id).is_none(), "what is no longer shown is freed");
                }
                // All at once, and a few at a time.
                for step in [count, 3] {
                    let canvas = painter.canvas(count, 4, side).unwrap();
                    for first in (0..count).step_by(step) {
                        let part = tensor.clone().narrow(0, first, step.min(count - first));
                        painter.paint(&canvas, first, part + 0.0).expect("the tensor is on this card");
                    }
                    // Half-way between two bytes a card may round the other way.
                    let found = black(read(setup, &canvas.texture));
                    let off: Vec<u8> = found.iter().zip(black(expected.clone())).map(|(a, b)| a.abs_diff(b)).collect();
                    let (most, differing) = (off.iter().max(), off.iter().filter(|&&off| off > 0).count());
                    assert!(
                        most <= Some(&1) && differing * 100 <= off.len(),
                        "{count} by {step}: {most:?} {differing}/{}",
                        off.len()
                    );
                }
            }
            let canvas = painter.canvas(count, 4, side).unwrap();
            assert!(painter.paint(&canvas, 0, Tensor::from_data(data, &Device::flex())).is_none());
        }
        assert!(painter.canvas(1 << 20, 4, 64).is_none(), "no card has a texture as large as that");
    }
}
