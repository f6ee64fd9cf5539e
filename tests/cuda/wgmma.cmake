# variant wgmma's tests: sizes and shapes with the emulator's orders, lateness and numbers of SMs, and that
# neither the way pixels lie nor the cut of a batch changes a bit. All 41 rows are all pairs of sizes;
# one of them runs in CI, four in the campaign, which have each number four times a side.
add_executable(test_wgmma test_wgmma.c)
target_compile_definitions(test_wgmma PRIVATE _GNU_SOURCE)
target_link_libraries(test_wgmma PRIVATE resr_cuda_objects CUDA::cudart ${CMAKE_DL_LIBS} m)
set_target_properties(test_wgmma PROPERTIES LINKER_LANGUAGE CXX)

# wgmma_test(NAME TIMEOUT_S "SHUFFLE CPASYNC WGMMA SMS" COMMAND...)
function(wgmma_test name timeout_s how)
  string(REPLACE " " ";" how ${how})
  list(GET how 0 order)
  list(GET how 1 copies)
  list(GET how 2 products)
  list(GET how 3 sms)
  cuda_test(${name} ${timeout_s} COMMAND ${ARGN}
            ENVIRONMENT EMU_ARCH=90 EMU_SHUFFLE=${order} EMU_CPASYNC=${copies} EMU_WGMMA=${products}
                        EMU_SMS=${sms})
endfunction()

# Without a kernel for sm_90a the variant is not offered.
if(emulator)
  cuda_test(wgmma_absent 60 COMMAND $<TARGET_FILE:test_wgmma> absent
            ENVIRONMENT EMU_ARCH=90 RESR_ONLY_EMULATED=1 RESR_EMULATED=${emulator}/conv_wgmma_80.so)
endif()
cuda_test(probe 60 COMMAND $<TARGET_FILE:bench_cuda_probe> --quick ENVIRONMENT EMU_ARCH=90)
# The second way to lay pixels first: where it passes and the first one fails, the swizzle is at fault.
wgmma_test(conv_wgmma_plain.1 600 "1 lazy lazy 132" $<TARGET_FILE:test_conv> wgmma-plain 1 11)
wgmma_test(conv_wgmma.1 600 "1 lazy lazy 132" $<TARGET_FILE:test_conv> wgmma 1 11)
wgmma_test(conv_wgmma.2 600 "2 eager lazy 6" $<TARGET_FILE:test_conv> wgmma 1 12)
wgmma_test(wgmma_sizes.19 600 "2 lazy eager 5" $<TARGET_FILE:test_wgmma> sizes 19)
if(RESR_TEST_CAMPAIGN)
  wgmma_test(wgmma_sizes.7 600 "1 eager lazy 4" $<TARGET_FILE:test_wgmma> sizes 7)
  wgmma_test(wgmma_sizes.12 600 "0 lazy lazy 132" $<TARGET_FILE:test_wgmma> sizes 12)
  wgmma_test(wgmma_sizes.30 600 "3 eager eager 132" $<TARGET_FILE:test_wgmma> sizes 30)
endif()
wgmma_test(wgmma_cuts 600 "3 lazy lazy 3" $<TARGET_FILE:test_wgmma> cuts)
