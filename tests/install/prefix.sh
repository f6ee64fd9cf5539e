#!/bin/sh
# Installs into a temporary prefix, moves it, and runs the installed program on a clip: its list of files, the weights
# that it finds in its own folder and in XDG_DATA_HOME, and the script that its message names.
. "$(dirname "$0")/../mpi/lib.sh"
unset REALESRGAN_MODELS
DESTDIR=$PWD/stage cmake --install "$BUILD" --prefix /opt/realesrgan >install.log || fail "install: $(cat install.log)"
mv stage/opt/realesrgan "moved here"
rm -r stage
program=$PWD/moved\ here/bin/realesrgan-mpi

# Every file has its place, and no file names the build or the temporary folder.
(cd "moved here" && find . -type f ! -name realesrgan-cuda.so | sed 's/^..//' | LC_ALL=C sort) >files
cat >expected <<'END'
bin/realesrgan-mpi
share/bash-completion/completions/realesrgan-mpi
share/doc/realesrgan-mpi/CHANGELOG.md
share/doc/realesrgan-mpi/README.md
share/doc/realesrgan-mpi/SECURITY.md
share/doc/realesrgan-mpi/copyright
share/fish/vendor_completions.d/realesrgan-mpi.fish
share/man/man1/realesrgan-mpi.1
share/realesrgan-mpi/jobs/README.md
share/realesrgan-mpi/jobs/array.sbatch
share/realesrgan-mpi/jobs/bench.sbatch
share/realesrgan-mpi/jobs/run-until-done
share/realesrgan-mpi/jobs/slurm.sh
share/realesrgan-mpi/jobs/upscale.sbatch
share/realesrgan-mpi/models/README.md
share/realesrgan-mpi/models/SHA256SUMS
share/realesrgan-mpi/models/fetch.sh
share/realesrgan-mpi/models/wheel.sh
share/zsh/site-functions/_realesrgan-mpi
END
grep -v '^share/doc/realesrgan-mpi/docs/.*\.md$' files | diff expected - || fail "installed files (>) are not the expected ones (<)"
grep -q '^share/doc/realesrgan-mpi/docs/' files || fail "no docs"
grep -rlF "$PWD" "moved here/share" && fail "files name the temporary folder"

tiny_model # of scale 2
clip in.mp4 3
if [ -e "$BUILD/realesrgan-cuda.so" ]; then # the program finds it, with or without a GPU
    env -u REALESRGAN_CUDA "$program" --backend cuda -i in.mp4 -o gpu.mp4 -m tiny.safetensors 2>run.log || :
    ! grep -q "realesrgan-cuda.so" run.log || fail "the CUDA object is not found: $(cat run.log)"
fi
export XDG_DATA_HOME="$PWD/data"
# The command of the message can be run as it is.
code=0
"$program" -i in.mp4 -o out.mp4 -s 2 2>run.log || code=$?
[ $code = 66 ] || fail "without weights: exit $code: $(cat run.log)"
command=$(sed -nE 's/.*fetch them with: (sh .*) RealESRGAN_x2plus$/\1/p' run.log)
eval "$command --list" | grep -q '^RealESRGAN_x2plus:' || fail "'$command --list': $(cat run.log)"
"$program" --list-models >models.log
grep -qF "$command RealESRGAN_x2plus" models.log || fail "--list-models: $(cat models.log)"

# Weights of the installation, then of the user.
for folder in "moved here/share/realesrgan-mpi/models" data/realesrgan-mpi/models; do
    mkdir -p "$folder"
    cp tiny.safetensors "$folder/RealESRGAN_x2plus.pth"
    "$program" --threads 1 --progress none -i in.mp4 -o out.mp4 -s 2 --overwrite 2>run.log ||
        fail "weights in $folder: $(cat run.log)"
    [ "$(count_frames out.mp4)" = 3 ] || fail "weights in $folder: $(count_frames out.mp4) frames"
    rm "$folder/RealESRGAN_x2plus.pth" out.mp4
done
echo "ok"
