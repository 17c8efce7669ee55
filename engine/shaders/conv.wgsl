// Convolutions and their gradients as products of implicit matrices. Joined with elementwise.wgsl and product.wgsl.
//
// own[0]: height, width and channels of the input, channels of the output. own[1]: rows and columns of the kernel,
// height and width of the output. own[2]: strides, paddings. own[3]: elements of a lane of a and of b, dimensions of
// the lanes. own[4..8]: of each dimension, outermost first, the size and the strides of a and b in lanes.

// 0: forward, a is the input and b the weight. 1: gradient of the input, a is the cotangent and b the weight.
// 2: gradient of the weight, a is the input and b the cotangent.
override KIND: u32 = 0u;

var<private> lane_a: u32;
var<private> lane_b: u32;
var<private> column_0: u32;
// What the four rows are: for kinds 0 and 1 image, row and column of a pixel; for kind 2 row, column and channel of the
// kernel. The last is 1 where there is such a row.
var<private> rows: array<vec4<u32>, 4>;

fn prepare(lane: u32, row: u32, column: u32) {
    var rest = lane;
    lane_a = 0u;
    lane_b = 0u;
    for (var d = job.own[3].z; d > 0u; d--) {
        let dimension = job.own[3u + d];
        let i = rest % dimension.x;
        rest /= dimension.x;
        lane_a += i * dimension.y;
        lane_b += i * dimension.z;
    }
    lane_a *= job.own[3].x;
    lane_b *= job.own[3].y;
    column_0 = column;
    var down = job.own[1].z;
    var across = job.own[1].w;
    if (KIND == 1u) { down = job.own[0].x; across = job.own[0].y; }
    if (KIND == 2u) { down = job.own[1].y; across = job.own[0].z; }
    for (var i = 0u; i < 4u; i++) {
        let r = row + i;
        rows[i] = vec4<u32>(r / (down * across), r / across % down, r % across, select(0u, 1u, r < job.sizes.x));
    }
}

fn load_rows(k: u32) -> vec4<f32> {
    var x = vec4<f32>(0.0);
    let channels = job.own[0].z;
    if (KIND == 0u) {
        // A term is a row, a column and a channel under the kernel.
        let channel = k % channels;
        let kx = k / channels % job.own[1].y;
        let ky = k / (channels * job.own[1].y);
        for (var i = 0u; i < 4u; i++) {
            // Below the padding the difference wraps around and is too large, too.
            let y = rows[i].y * job.own[2].x + ky - job.own[2].z;
            let z = rows[i].z * job.own[2].y + kx - job.own[2].w;
            if (rows[i].w == 1u && y < job.own[0].x && z < job.own[0].y) {
                x[i] = a[lane_a + ((rows[i].x * job.own[0].x + y) * job.own[0].y + z) * channels + channel];
            }
        }
    } else if (KIND == 1u) {
        let out = job.own[0].w;
        let channel = k % out;
        let kx = k / out % job.own[1].y;
        let ky = k / (out * job.own[1].y);
        for (var i = 0u; i < 4u; i++) {
            let y = rows[i].y + job.own[2].z - ky;
            let z = rows[i].z + job.own[2].w - kx;
            // Places between the steps of the window have met no kernel. A wrapped difference is too large.
            let fits = rows[i].y + job.own[2].z >= ky && rows[i].z + job.own[2].w >= kx
                && y % job.own[2].x == 0u && z % job.own[2].y == 0u;
            let oy = y / job.own[2].x;
            let oz = z / job.own[2].y;
            if (rows[i].w == 1u && fits && oy < job.own[1].z && oz < job.own[1].w) {
                x[i] = a[lane_a + ((rows[i].x * job.own[1].z + oy) * job.own[1].w + oz) * out + channel];
            }
        }
    } else {
        // A term is a place of the output; rows are row, column and channel under the kernel.
        let oz = k % job.own[1].w;
        let oy = k / job.own[1].w % job.own[1].z;
        let image = k / (job.own[1].w * job.own[1].z);
        for (var i = 0u; i < 4u; i++) {
            let y = oy * job.own[2].x + rows[i].x - job.own[2].z;
            let z = oz * job.own[2].y + rows[i].y - job.own[2].w;
            if (rows[i].w == 1u && y < job.own[0].x && z < job.own[0].y) {
                x[i] = a[lane_a + ((image * job.own[0].x + y) * job.own[0].y + z) * channels + rows[i].z];
            }
        }
    }
    return x;
}

fn load_columns(k: u32) -> vec4<f32> {
    var y = vec4<f32>(0.0);
    var at = lane_b + k * job.sizes.y + column_0;
    var step = 1u;
    if (KIND == 1u) {
        // The weight is [row, column, in, out]: a term is a row, a column and a channel of the output.
        let out = job.own[0].w;
        at = lane_b + (k / out * job.own[0].z + column_0) * out + k % out;
        step = out;
    }
    for (var i = 0u; i < 4u; i++) {
        if (column_0 + i < job.sizes.y) { y[i] = b[at + i * step]; }
    }
    return y;
}
