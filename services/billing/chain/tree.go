package chain

import (
	"errors"
	"slices"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

var trees = &compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}

// Tree is a Merkle tree that grows at its end. It keeps no more than it needs for
// its root.
type Tree struct{ grown *compact.Range }

// NewTree makes an empty Tree.
func NewTree() *Tree { return &Tree{grown: trees.NewEmptyRange(0)} }

// Add appends a leaf.
func (t *Tree) Add(leaf [32]byte) {
	if err := t.grown.Append(leaf[:], nil); err != nil {
		panic(err) // a range that only ever grew can't be broken
	}
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return int64(t.grown.End()) }

// Root is the digest of all leaves and their order.
func (t *Tree) Root() [32]byte {
	root, err := t.grown.GetRootHash(nil)
	if err != nil {
		panic(err) // it begins at the first leaf
	}
	if root == nil {
		root = rfc6962.DefaultHasher.EmptyRoot()
	}
	return [32]byte(root)
}

// Root is the root of a tree with these leaves.
func Root(leaves [][32]byte) [32]byte {
	t := NewTree()
	for _, leaf := range leaves {
		t.Add(leaf)
	}
	return t.Root()
}

// Prove gives what shows that the leaf at index is one of these leaves to whoever
// knows only their root.
func Prove(leaves [][32]byte, index int) ([]Bytes, error) {
	if index < 0 || index >= len(leaves) {
		return nil, errors.New("there is no such leaf")
	}
	wanted, err := proof.Inclusion(uint64(index), uint64(len(leaves)))
	if err != nil {
		return nil, err
	}
	hashes := make([][]byte, len(wanted.IDs))
	for i, id := range wanted.IDs {
		begin, end := id.Coverage()
		root := Root(leaves[begin:end]) // of a full subtree
		hashes[i] = root[:]
	}
	hashes, err = wanted.Rehash(hashes, rfc6962.DefaultHasher.HashChildren)
	path := make([]Bytes, len(hashes))
	for i, hash := range hashes {
		path[i] = slices.Clone(hash)
	}
	return path, err
}

// proved reports whether a path shows that the leaf at index is in the tree.
func proved(leaf [32]byte, index, size int64, path []Bytes, root []byte) error {
	if index < 0 || index >= size {
		return errors.New("there is no such leaf")
	}
	hashes := make([][]byte, len(path))
	for i, hash := range path {
		if len(hash) != len(leaf) {
			return errors.New("a digest in the path is not of 32 bytes")
		}
		hashes[i] = hash
	}
	return proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(size), leaf[:], hashes, root)
}
