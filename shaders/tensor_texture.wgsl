// What a generator drew, [count, channels, side, side] in [-1, 1], onto a texture of pictures in rows. The numbers lie as
// the strides say. Rounded as `image::from_signed` does: both ways to the screen give the same picture.

struct Sheet {
    count: u32,
    channels: u32,
    side: u32,
    columns: u32,
    strides: vec4<u32>,
    // The texture's first place that these pictures fill.
    first: u32,
}

@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<uniform> sheet: Sheet;
@group(0) @binding(2) var atlas: texture_storage_2d<rgba8unorm, write>;

fn value(picture: u32, channel: u32, row: u32, column: u32) -> f32 {
    let at = dot(vec4<u32>(picture, channel, row, column), sheet.strides);
    return clamp(floor((values[at] + 1.0) * 127.5 + 0.5), 0.0, 255.0) / 255.0;
}

@compute @workgroup_size(8, 8)
fn paint(@builtin(global_invocation_id) place: vec3<u32>) {
    let picture = place.x / sheet.side;
    if picture >= sheet.count || place.y >= sheet.side {
        return;
    }
    let row = place.y;
    let column = place.x % sheet.side;
    let red = value(picture, 0u, row, column);
    var color = vec3<f32>(red);
    if sheet.channels == 3u {
        color = vec3<f32>(red, value(picture, 1u, row, column), value(picture, 2u, row, column));
    }
    let at = sheet.first + picture;
    let corner = vec2<u32>(at % sheet.columns, at / sheet.columns) * sheet.side;
    textureStore(atlas, corner + vec2<u32>(column, row), vec4<f32>(color, 1.0));
}
