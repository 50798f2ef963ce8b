"""How hosts write masks, boxes, labels and ids into the cells of a table: encoded, decoded, checked."""
