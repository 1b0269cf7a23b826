// Tiles are handed out in groups of this many rows, so that workgroups that run together read the same elements.
const uint GROUP_ROWS = 8;

// The row and column of a tile, of `tiles` down and across.
uvec2 tile_of(uint index, uvec2 tiles) {
    uint group = index / (GROUP_ROWS * tiles.y);
    uint first = group * GROUP_ROWS;
    uint size = min(tiles.x - first, GROUP_ROWS);
    uint within = index - group * GROUP_ROWS * tiles.y;
    return uvec2(first + within % size, within / size);
}
