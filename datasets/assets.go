package datasets

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Asset is a published file that the library can use.
type Asset struct {
	ID      string // the file's name
	About   string // what it is, in one sentence
	Path    string // where it lies in a data folder, with slashes
	Licence string
	URL     string // the official source

	// Compiled says that the file is not published by itself: it was made of the files at URL. It is fetched from the
	// mirror that CTNAS_MIRROR names, if there is one, and from nowhere else.
	Compiled bool

	Size int64 // in bytes; 0 if it is not publicly known

	// Digest is "sha256:" or "git:" (the SHA-1 of a Git blob) and hexadecimal
	// digits. If none is publicly known it is empty; then the SHA-256 of the first
	// download is kept in a file beside it, and holds for later ones.
	Digest string

	// check reads a file without a publicly known digest, to tell whether it is the asset.
	check func(ctx context.Context, r io.Reader) error
}

// The IDs of the assets for [Find]. The table of NAS-Bench-101, which has several
// forms, is opened by [OpenNASBench101].
const (
	CIFAR10      = "cifar-10-binary.tar.gz"
	OFAPredictor = "acc_predictor.pth"
	OFAWeights   = "ofa_mbv3_d234_e346_k357_w1.2"
	OFAMeasured  = "measured_w1.0.csv.gz"
	NASBench301  = "yahpo_nb301_model_v2.onnx"
)

// ofaFiles is where the official code gets its files (mit-han-lab/once-for-all,
// ofa/model_zoo.py and ofa/tutorial/accuracy_predictor.py), at the commit whose
// files the digests are of.
const ofaFiles = "https://raw.githubusercontent.com/han-cai/files/a7c9bcd525e17404968bc55aa43772bf7e51909e/ofa/"

var assets = []Asset{
	{
		ID:      only108File,
		About:   "The NAS-Bench-101 table: three trainings of 108 epochs of each of the 423,624 cells.",
		Path:    nasbenchFolder + "/" + only108File,
		Licence: "Apache 2.0",
		URL:     "https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
		// The digest is in the README of google-research/nasbench, with "~499 MB"; the
		// exact size is in a public build script that pins both.
		Size:   522_767_376,
		Digest: "sha256:4c39c3936e36a85269881d659e44e61a245babcb72cb374eacacf75d0e5f4fd1",
	},
	{
		ID:      jsonFile,
		About:   "The NAS-Bench-101 table as the paper's authors use it: one accuracy for each of the 423,624 cells.",
		Path:    nasbenchFolder + "/" + jsonFile,
		Licence: "that of NAS-Bench-101, Apache 2.0; the authors' repository is BSD 3-Clause",
		URL:     "https://github.com/chenyaofo/CTNAS/releases/download/data/nas_bench.json",
		check:   checkJSON,
	},
	{
		ID:      CIFAR10,
		About:   "CIFAR-10, binary version: 50,000 training and 10,000 test images of 32×32 pixels in 10 classes.",
		Path:    "cifar10/" + CIFAR10,
		Licence: "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
		URL:     "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
		// Size and digest are in tensorflow/datasets, url_checksums/cifar10.txt.
		Size:   170_052_171,
		Digest: "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
	},
	{
		ID:      OFAPredictor,
		About:   "The Once-for-All accuracy predictor: ImageNet accuracy of a MobileNetV3 sub-network from its encoding.",
		Path:    "ofa/" + OFAPredictor,
		Licence: "MIT, as the code of Once-for-All",
		URL:     ofaFiles + OFAPredictor,
		// Size and digest are of the file in the public Git repository.
		Size:   1_492_497,
		Digest: "sha256:48685122a3540636b06699af66cd816456b25f29b69563e2fda9bed4018eeba0",
	},
	{
		ID:      OFAWeights,
		About:   "The Once-for-All MobileNetV3 supernet: its weights, at width 1.2, trained on ImageNet.",
		Path:    "ofa/" + OFAWeights,
		Licence: "MIT, as the code of Once-for-All",
		URL:     ofaFiles + "ofa_nets/" + OFAWeights,
		// The digest is the file's name in the tree of that commit.
		Digest: "git:d75a3613bae216091f61fc4b7df77d49cc82ed32",
	},
	{
		ID:      OFAMeasured,
		About:   "Measured ImageNet accuracies of 2,162 sub-networks of the Once-for-All MobileNetV3 supernet of width 1.0.",
		Path:    "ofa/" + OFAMeasured,
		Licence: "Apache 2.0, as DyNAS-T",
		// The means of the networks in the five files mbnv3w10_*.csv there, which searches wrote.
		URL:      "https://github.com/IntelLabs/DyNAS-T/tree/251cb5e0083077522eb554691f480ba750e63246/notebooks/data",
		Compiled: true,
	},
	{
		ID:      NASBench301,
		About:   "The NAS-Bench-301 surrogate of YAHPO Gym: validation accuracy of a DARTS genotype after 1 to 98 epochs.",
		Path:    "nasbench301/" + NASBench301,
		Licence: "Apache 2.0",
		URL:     "https://raw.githubusercontent.com/slds-lmu/yahpo_data/0e288068134f4af8d231c63d2a941e5ab8060ef0/nb301/model_v2.onnx",
		// Size and digest are of the file in the public Git repository.
		Size:   2_781_646,
		Digest: "sha256:e7168d495cf7fe6419b69234a052571536c2a5f6d7a8a2aead4e9d04dffac1d6",
	},
}

// Assets returns all that [Find] and [Fetch] know.
func Assets() []Asset { return slices.Clone(assets) }

// assetOf returns the asset with an ID.
func assetOf(id string) (Asset, error) {
	i := slices.IndexFunc(assets, func(a Asset) bool { return a.ID == id })
	if i < 0 {
		ids := make([]string, len(assets))
		for i, a := range assets {
			ids[i] = a.ID
		}
		return Asset{}, fmt.Errorf("datasets: there is no asset %q, only %s", id, strings.Join(ids, ", "))
	}
	return assets[i], nil
}

// checkJSON says whether r is the authors' table, and whole.
func checkJSON(ctx context.Context, r io.Reader) error {
	rows, err := readJSON(ctx, bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return err
	}
	sortRows(rows)
	return checkWhole(rows)
}

// sortRows brings rows into ascending order of hash.
func sortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int { return bytes.Compare(a.Hash[:], b.Hash[:]) })
}
