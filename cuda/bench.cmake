# Programs that measure the backend (bench/README.md), for cuda/CMakeLists.txt. CUDA's runtime is a shared
# library here, so that the PTX emulator can take its place.
set(source ${CMAKE_CURRENT_SOURCE_DIR}/..)
add_executable(bench_cuda ${source}/bench/cuda_kernels.cu)
target_link_libraries(bench_cuda PRIVATE resr_cuda_objects CUDA::cudart ${CMAKE_DL_LIBS})
target_compile_options(bench_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${gencode}>)
set_target_properties(bench_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Shared)

add_executable(bench_cuda_net ${source}/bench/cuda_net.c ${source}/bench/model_argument.c
               ${source}/tools/random_model.c)
target_include_directories(bench_cuda_net PRIVATE ${source}/src ${source}/bench ${source}/tools)
target_compile_definitions(bench_cuda_net PRIVATE _GNU_SOURCE)
if(alone) # with the files of the program that need no other libraries
  set(resr_object_folder .)
  configure_file(${source}/src/version.h.in ${CMAKE_CURRENT_BINARY_DIR}/version.h)
  target_include_directories(bench_cuda_net PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
  target_sources(bench_cuda_net PRIVATE ${source}/bench/stub_readers.c)
  find_package(OpenMP REQUIRED COMPONENTS C)
  foreach(file base/cgroup base/error base/file base/log base/memory base/sha256 base/stop base/text model/model
          model/spec net/cuda net/net net/numerics net/tile)
    target_sources(bench_cuda_net PRIVATE ${source}/src/${file}.c)
  endforeach()
  target_link_libraries(bench_cuda_net PRIVATE OpenMP::OpenMP_C ${CMAKE_DL_LIBS} m)
else()
  target_link_libraries(bench_cuda_net PRIVATE resr_net m)
endif()

if(hopper) # tests the assumptions of variant wgmma about sm_90a
  add_executable(bench_cuda_probe ${source}/bench/cuda_probe.cu)
  target_include_directories(bench_cuda_probe PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(bench_cuda_probe PRIVATE CUDA::cudart)
  target_compile_options(bench_cuda_probe PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-gencode=arch=compute_90a,code=sm_90a;-Werror=all-warnings>")
  set_target_properties(bench_cuda_probe PROPERTIES CUDA_RUNTIME_LIBRARY Shared)
endif()
