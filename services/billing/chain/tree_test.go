package chain

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"pgregory.net/rapid"
)

// recursive is the root as RFC 6962 defines it.
func recursive(leaves [][32]byte) [32]byte {
	switch len(leaves) {
	case 0:
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot())
	case 1:
		return leaves[0]
	}
	half := 1
	for 2*half < len(leaves) {
		half *= 2
	}
	left, right := recursive(leaves[:half]), recursive(leaves[half:])
	return [32]byte(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

func someLeaves(n int) [][32]byte {
	leaves := make([][32]byte, n)
	for i := range leaves {
		leaves[i] = Entry{Seq: int64(i)}.Leaf()
	}
	return leaves
}

// TestProofs: every leaf of every small tree is proved, and with nothing changed
// about its proof is any other.
func TestProofs(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		leaves := someLeaves(n)
		root := Root(leaves)
		require.Equal(t, recursive(leaves), root)
		for i := range leaves {
			path, err := Prove(leaves, i)
			require.NoError(t, err)
			raw := make([][]byte, len(path))
			for j := range path {
				raw[j] = path[j]
			}
			require.NoError(t, proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(i), uint64(n), leaves[i][:], raw, root[:]))
			require.NoError(t, proved(leaves[i], int64(i), int64(n), path, root[:]))
			for j := range leaves {
				if j != i {
					require.Error(t, proved(leaves[j], int64(i), int64(n), path, root[:]))
					require.Error(t, proved(leaves[i], int64(j), int64(n), path, root[:]))
				}
			}
			for j := range path {
				path[j] = bytes.Clone(path[j])
				path[j][j%32] ^= 1
				require.Error(t, proved(leaves[i], int64(i), int64(n), path, root[:]))
				path[j][j%32] ^= 1
			}
			require.Error(t, proved(leaves[i], int64(i), int64(n), append(path, root[:]), root[:]))
			require.Error(t, proved(leaves[i], int64(i), int64(n), append(path[:len(path):len(path)], Bytes{1}), root[:]))
		}
		_, err := Prove(leaves, n)
		require.Error(t, err)
		require.Error(t, proved([32]byte{}, int64(n), int64(n), nil, root[:]))
		require.Error(t, proved([32]byte{}, -1, int64(n), nil, root[:]))
	}
}

// TestLargeTrees agree with the definition too.
func TestLargeTrees(t *testing.T) {
	t.Parallel()
	leaves := someLeaves(5000)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, len(leaves)).Draw(t, "leaves")
		i := rapid.IntRange(0, n-1).Draw(t, "leaf")
		path, err := Prove(leaves[:n], i)
		require.NoError(t, err)
		root := recursive(leaves[:n])
		require.NoError(t, proved(leaves[i], int64(i), int64(n), path, root[:]))
	})
}
